"""How large the engine is, and which forward pass it runs.

Pure.
"""

from dataclasses import dataclass
from typing import Literal

ModelImpl = Literal["fused", "transformers"]
"""The language model's forward pass: our fused one, or the modules of the transformers library."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How large the engine is."""

    kv_cache_tokens: int
    """Capacity of the KV cache."""
    encoder_cache_bytes: int
    """Capacity of the caches of encoder states and projected audio embeddings, together."""
    model_impl: ModelImpl
    max_num_seqs: int
    """Sequences in one batch; the others wait."""
