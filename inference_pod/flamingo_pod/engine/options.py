"""Sizes of the engine, and which forward pass it runs.

Pure.
"""

from dataclasses import dataclass
from typing import Literal

ModelImpl = Literal["fused", "transformers"]
"""The language model's forward pass: our fused one, or the transformers library's modules."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Sizes of the engine; the pod's settings have the defaults."""

    kv_cache_tokens: int
    """Capacity of the KV pool; 0 until `memory_profile.py` has sized it."""
    encoder_cache_bytes: int
    """Capacity of the caches of encoder states and of projected embeddings, together."""
    model_impl: ModelImpl
    max_num_seqs: int
    """Sequences in one batch; the others wait."""
    are_caches_on_host: bool = False
    """Whether the encoder caches are in host memory instead of the device's."""
    async_scheduling: bool = False
    """Whether a decoding step may be launched before the tokens of the one before are read."""
