"""The type of a checkpoint's limits and sampling defaults, which `checkpoint.py` reads.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flamingo_common.wire.requests import Layer

ReasoningParser = Literal["auto", "think", "none"]
"""Whether a checkpoint thinks. `--reasoning-parser` is vLLM's name, `think` several of its
parsers."""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """The model's limits and defaults, and the widths of its embeddings."""

    max_audio_s: float
    context_tokens: int
    default_max_tokens: int
    default_temperature: float
    default_top_p: float | None
    default_top_k: int | None
    default_repetition_penalty: float
    dims: Mapping[Layer, int]
    eos_token_ids: frozenset[int]
