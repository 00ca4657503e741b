"""CPU time of a decoding step outside of its forward pass: planning, sampling, committing.

    python tests/bench/step_overhead.py --former CHECKOUT

measures the code of this checkout and of another one in turns, each in a process of its own with
one thread, so that both have the same machine.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "inference_pod")
PROMPT_TOKENS, MAX_TOKENS, NUM_STEPS, NUM_WARM_UP = 64, 400, 100, 10
KINDS = {
    "greedy": {},
    "temperature": {"temperature": 1.0},
    "top-p": {"temperature": 1.0, "top_p": 0.9},
}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--former", type=Path, help="another checkout to compare with")
    parser.add_argument("--model", default="flamingo-tiny")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.measure:
        print(json.dumps(measure(options.model, options.rows, KINDS[options.measure])))
        return 0
    checkouts = {"now": ROOT} | ({"former": options.former} if options.former else {})
    print("| sampling | code | step, ms | outside of the forward pass, ms |")
    print("| --- | --- | ---: | ---: |")
    for kind in KINDS:
        found: dict[str, list[list[float]]] = {name: [] for name in checkouts}
        for _ in range(options.rounds):
            for name, checkout in checkouts.items():
                found[name].append(in_process(checkout, options, kind))
        for name, rounds in found.items():
            step_ms, outside_ms = (median(values) for values in zip(*rounds, strict=True))
            print(f"| {kind} | {name} | {step_ms:.2f} | {outside_ms:.2f} |")
    return 0


def in_process(checkout: Path, options: argparse.Namespace, kind: str) -> list[float]:
    """Return the milliseconds of a step and of its part outside of the forward pass."""
    paths = os.pathsep.join(str(checkout / package) for package in PACKAGES)
    arguments = ["--measure", kind, "--model", options.model, "--rows", str(options.rows)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(model: str, num_rows: int, params: dict[str, float]) -> list[float]:
    torch.set_num_threads(1)
    source = checkpoint.CheckpointSource(
        model, None, "float32", "cpu", build.cache_folder(os.environ)
    )
    core = EngineCore(checkpoint.load(source), EngineOptions(2**16, 2**20, "fused", num_rows))
    rng = np.random.default_rng(0)
    for seed in range(num_rows):
        ids = rng.integers(16, 300, size=PROMPT_TOKENS).tolist()
        sampling = SamplingParams(max_tokens=MAX_TOKENS, ignore_eos=True, **params)
        core.submit(Prompt(ids), sampling, seed, lambda _: None)
    while sum(bool(one.output_ids) for one in core.scheduler.running) < num_rows:
        core.step()
    spent_s, forward = [0.0], core.runner.forward

    def timed(*inputs):
        started_s = time.process_time()
        result = forward(*inputs)
        spent_s[0] += time.process_time() - started_s
        return result

    core.runner.forward = timed
    for _ in range(NUM_WARM_UP):
        core.step()
    spent_s[0], started_s = 0.0, time.process_time()
    for _ in range(NUM_STEPS):
        core.step()
    step_s = time.process_time() - started_s
    return [step_s / NUM_STEPS * 1000, (step_s - spent_s[0]) / NUM_STEPS * 1000]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
