"""The keys of the noise: a function of a request's seed and the number of its output tokens.

Each key is the start of a SplitMix64 sequence (Steele, Lea and Flood 2014, variant 13), whose n-th
word is the noise of token id n - 1; `noise.py` computes those. There is no generator state, so a
sequence gets the same noise alone and in any batch.

Pure.
"""

import numpy as np
import numpy.typing as npt

GOLDEN = 0x9E3779B97F4A7C15
"""The increment of SplitMix64."""
MIXES = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
"""Shift and factor of each round of its finalizer."""
BITS = 2**64 - 1


def seed_key(seed: int) -> int:
    """Return what is constant in the keys of one sequence, an unsigned 64-bit integer."""
    word = (seed + GOLDEN) & BITS
    for shift, factor in MIXES:
        word = ((word ^ (word >> shift)) * factor) & BITS
    return word


def position_keys(
    seed_keys: npt.NDArray[np.uint64], positions: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the keys `(n,)` of tokens at their positions in the outputs, from 0."""
    words = seed_keys + (positions + 1).astype(np.uint64) * np.uint64(GOLDEN)
    for shift, factor in MIXES:
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return words.view(np.int64)
