"""What a server costs.

Pure.
"""

from typing import Annotated

from pydantic import Field

from flamingo_operator.api.rules import Block

Price = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+([.][0-9]+)?$")]
"""A decimal number, as text: Kubernetes' API has no fractions."""
Currency = Annotated[str, Field(max_length=3, pattern="^[A-Z]{3}$")]


class Cost(Block):
    """What a server costs, for the status to say what the fleet does."""

    gpu_per_hour: Price
    """Price of one server's GPU for one hour: `1.90`."""
    currency: Currency = "USD"
    """Three letters of ISO 4217."""
