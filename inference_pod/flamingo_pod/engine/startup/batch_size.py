"""How many sequences run at once if `--max-num-seqs` is not set.

On a GPU the time of a step is mostly that of reading the weights, so a further sequence takes
little, and memory is the limit. Simulated for clips of 10 s (`tests/bench/tails_sim.py`), 128
sequences give 1.2 times the captions a second of 64 on a card of 24 GB, where 256 do not fit, and
256 give 1.8 times on one of 80 GB. Each also reserves memory for sampling, 6 MB with the published
vocabulary.

On a CPU a step takes about as long as it has rows: 256 sequences instead of 64 tripled the time
between two tokens, and gained a quarter at most.

Pure.
"""

CPU_NUM_SEQS = 64
SMALL_GPU_NUM_SEQS, GPU_NUM_SEQS = 128, 256
"""The largest recorded decoding step has 256 rows (`buckets.py`)."""
SMALL_GPU_BYTES = 32 * 10**9


def default_max_num_seqs(gpu_bytes: int | None) -> int:
    """Return the default for a GPU with so much memory that this process can use, or for a CPU."""
    if gpu_bytes is None:
        return CPU_NUM_SEQS
    return SMALL_GPU_NUM_SEQS if gpu_bytes < SMALL_GPU_BYTES else GPU_NUM_SEQS
