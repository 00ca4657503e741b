"""Memory and CPU time by the number of cached kernels: `python tests/bench/kernel_cache.py`.

Each row is a process of its own, in which the engine answers a question about each of 400 clips of
0.5 to 20 s, one after the other. `MAX_CACHED_KERNELS` of flamingo_pod is chosen by this table.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.text import prompt

CAPACITIES = (1024, 256, 128, 64, 16, 1)
VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
CACHE_BYTES = 2**24
"""Of encoder outputs: soon full, so that it is not what grows."""


def anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024 / 1e6


def load_core(model: str) -> EngineCore:
    torch.set_num_threads(1)
    source = checkpoint.CheckpointSource(
        id=model,
        revision=None,
        dtype="float32",
        device="cpu",
        cache=build.cache_folder(os.environ),
    )
    options = EngineOptions(
        kv_cache_tokens=24_000,
        encoder_cache_bytes=CACHE_BYTES,
        model_impl="fused",
        max_num_seqs=64,
    )
    return EngineCore(checkpoint.load(source), options)


def answer_clips(model: str, num_clips: int) -> tuple[float, float]:
    """Return the CPU seconds of the answers, and by how many MB the process has grown."""
    core, rng = load_core(model), np.random.default_rng(0)
    before_mb, started_s = anonymous_mb(), time.process_time()
    for number in range(num_clips):
        samples = rng.standard_normal(int(rng.uniform(0.5, 20) * 16_000)) * 0.1
        audio = ClipAudio.from_samples(samples.astype(np.float32), b"")
        turn = prompt.Turn("user", f"Question {number}?", has_audio=True)
        ids = prompt.token_ids(core.checkpoint.processor, [turn], audio.num_tokens)
        core.submit(Prompt(ids, audio), SamplingParams(max_tokens=4), 1, lambda _: None)
        while core.has_work():
            core.step()
    return time.process_time() - started_s, anonymous_mb() - before_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="flamingo-tiny")
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--alone", action="store_true", help="measure this process's capacity")
    given = parser.parse_args()
    if given.alone:
        cpu_s, grown_mb = answer_clips(given.model, given.clips)
        print(f"| {os.environ[VARIABLES[0]]} | {cpu_s:.1f} | {grown_mb:.0f} |")
        return
    print("| cached kernels | CPU-s | growth, MB |\n| ---: | ---: | ---: |", flush=True)
    for capacity in CAPACITIES:
        environ = os.environ | dict.fromkeys(VARIABLES, str(capacity))
        subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--alone"], env=environ, check=True
        )


if __name__ == "__main__":
    main()
