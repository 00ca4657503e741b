"""How the KV of each row of a decode step is divided among programs of the attention kernel.

Pure. The number of splits may depend on nothing that changes between replays of a CUDA graph, so
it is fixed for a number of rows. How long they are is decided on the device, for each row by its
own length: a short row leaves most of its splits empty.
"""

from dataclasses import dataclass

TILE_BYTES = 16 * 1024
"""Of keys, and as many of values. Two of each are in flight: 64 KiB, 70 KiB with the rest.

Two programs fit into a processor of sm80 (164 KiB of shared memory), three into one of sm90
(228 KiB), and one into sm86 and sm89 (100 KiB). To hide the latency, an H200 needs
4.8 TB/s * 0.7 µs / 132 processors = 25 KiB in flight on each.
"""
NUM_STAGES = 3
"""Of the pipeline over tiles: two are loaded while one is computed."""
MIN_BLOCK_TOKENS, MAX_BLOCK_TOKENS = 16, 128
"""A matrix product on tensor cores has at least 16 columns."""
MIN_SPLIT_TOKENS = 128
"""Shorter splits would write nearly as much (7 heads in float32, twice) as they read."""
PROGRAMS_PER_PROCESSOR = 4
"""So that processors which finish early find more work: rows differ in length."""
SPLIT_COUNTS = (8, 16, 32, 64)
"""At least 8, or one row of 20 minutes would be the work of a few processors in a large batch.

The kernels are compiled for each.
"""


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """The sizes of one launch of the attention kernel."""

    num_splits: int
    block_tokens: int
    """The tokens whose keys and values are loaded at once, a power of two."""


def split_sizes(
    num_rows: int, num_kv_heads: int, bytes_per_head: int, num_processors: int
) -> SplitSizes:
    """Return the sizes for a batch of `num_rows` on a device with `num_processors`.

    `bytes_per_head` is the size of one token's key in one head.
    """
    wanted = PROGRAMS_PER_PROCESSOR * num_processors / (num_rows * num_kv_heads)
    splits = next((count for count in SPLIT_COUNTS if count >= wanted), SPLIT_COUNTS[-1])
    block = min(max(TILE_BYTES // bytes_per_head, MIN_BLOCK_TOKENS), MAX_BLOCK_TOKENS)
    return SplitSizes(splits, block)


def processors_of_splits(num_splits: int, num_rows: int, num_kv_heads: int) -> int:
    """Return how many processors a device has for which `split_sizes` chooses `num_splits`."""
    return num_splits * num_rows * num_kv_heads // PROGRAMS_PER_PROCESSOR
