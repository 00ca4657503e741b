"""The dimensions of the built-in models.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuiltinDimensions:
    """The dimensions of one built-in model; everything else is as in the published checkpoint."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    encoder_hidden: int
    encoder_layers: int
    encoder_heads: int
    encoder_intermediate: int


BUILTIN_MODELS: Mapping[str, BuiltinDimensions] = {
    # 0.5 M parameters: a caption in a tenth of a second on one core.
    "flamingo-tiny": BuiltinDimensions(
        hidden=64,
        layers=2,
        heads=4,
        kv_heads=2,
        intermediate=128,
        encoder_hidden=64,
        encoder_layers=2,
        encoder_heads=4,
        encoder_intermediate=128,
    ),
    # 27 M parameters: large enough that matrix products dominate, not Python.
    "flamingo-tiny-27m": BuiltinDimensions(
        hidden=512,
        layers=8,
        heads=4,
        kv_heads=1,
        intermediate=1408,
        encoder_hidden=256,
        encoder_layers=4,
        encoder_heads=4,
        encoder_intermediate=1024,
    ),
}
