"""`python tests/bench/loading.py MODEL [DTYPE]`: seconds and memory that loading takes.

Own memory is what this process alone holds; mapped memory is the file's own pages,
which the pods of a machine share, and which the kernel takes back when it needs them.
"""

import os
import sys
import time
from pathlib import Path

import torch

from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS

STATUS = Path("/proc/self/status")
MB = 1e6


def memory_mb(*names):
    """Return fields of the process's status."""
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return [int(fields[name].split()[0]) * 1024 / MB for name in names]


def main(model, dtype="float32"):
    torch.set_num_threads(1)
    cache = build.cache_folder(os.environ)
    if model in BUILTIN_MODELS:
        build.ensure_built(model, cache)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # peak memory anew
    own, peak = memory_mb("RssAnon", "VmHWM")
    started_s = time.monotonic()
    checkpoint.load(checkpoint.CheckpointSource(model, None, dtype, device, cache))
    took_s = time.monotonic() - started_s
    own_after, peak_after = memory_mb("RssAnon", "VmHWM")
    print(f"{model} as {dtype} on {device}: {took_s:.2f} s,")
    print(f"{own_after - own:.0f} MB more of its own, {peak_after - peak:.0f} MB more at the peak")


if __name__ == "__main__":
    main(*sys.argv[1:])
