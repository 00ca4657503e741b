"""The `cost` block: the price of a GPU.

Pure.
"""

from typing import Annotated

from pydantic import Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block

Currency = Annotated[str, Field(max_length=3, pattern="^[A-Z]{3}$")]


class Cost(Block):
    """Cost is the price of a GPU, from which status.cost is computed."""

    gpu_per_hour: fields.Quantity
    """gpuPerHour is the price of one GPU for one hour, such as "1.90". The quotation marks are
    needed, because a quantity is not a floating point number."""
    currency: Currency = "USD"
    """currency is the ISO 4217 code of the currency."""
