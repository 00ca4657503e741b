"""The inference pod: one model on one GPU, behind an OpenAI-compatible HTTP API."""

import os

MAX_CACHED_KERNELS = 128
"""On a CPU, oneDNN and torch each keep the kernels they compiled for the last 1,024 shapes. Every
clip has a shape of its own: a pod grew by 600 MB, none of it used again. 128 take as much CPU time
(`python tests/bench/kernel_cache.py`)."""

# Read once, when torch is imported, which only the modules of this package do.
for _name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_name, str(MAX_CACHED_KERNELS))
