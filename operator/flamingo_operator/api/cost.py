"""The `cost` block: the price of a GPU.

Pure.
"""

from typing import Annotated

from pydantic import Field

from flamingo_operator.api.rules import Block

Price = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+([.][0-9]+)?$")]
"""A decimal number as text: the Kubernetes API conventions rule out floating point."""
Currency = Annotated[str, Field(max_length=3, pattern="^[A-Z]{3}$")]


class Cost(Block):
    """Cost is the price of a GPU, from which status.cost is computed."""

    gpu_per_hour: Price
    """gpuPerHour is the price of one GPU for one hour, as a decimal number such as 1.90."""
    currency: Currency = "USD"
    """currency is the ISO 4217 code of the currency."""
