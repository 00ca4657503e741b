"""`PYTHONPATH=tests python -m bench.sampling`: CPU time of sampling one step of 64 rows.

Each workload is sampled as it is and as it was at commit `--before`, whose sampler is read from
git, in turns in one run, so the ratio does not depend on the machine's load. Both must return the
same tokens and log-probabilities. With a vocabulary of 64, operations on tensors cost next to
nothing, and what is left is the host's own time: what a step costs the host beside a GPU.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
import torch

from flamingo_pod.engine.sampling.batch import SamplingBatch, SamplingInput
from flamingo_pod.engine.sampling.launch import launch
from flamingo_pod.engine.sampling.state import SamplingState
from flamingo_pod.engine.scheduling.sequence import SamplingParams

BEFORE = "b28ce73"
"""The last commit in which sampling was one file that waited for the device."""
OLD_PATH = "inference_pod/flamingo_pod/engine/sampler.py"
NUM_ROWS = 64
NUM_TOKENS = 200
"""Of each prompt and of each output."""
WORKLOADS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "temperature": {"temperature": 0.8},
    "top-p": {"temperature": 0.8, "top_p": 0.9},
    "penalties, logprobs": {
        "temperature": 0.8,
        "repetition_penalty": 1.1,
        "frequency_penalty": 0.2,
        "num_logprobs": 5,
    },
    "grammar": {},
}


@dataclass(frozen=True)
class Step:
    """The rows of one step, all with the same parameters."""

    logits: torch.Tensor
    params: SamplingParams
    prompt_ids: frozenset[int]
    output_ids: Sequence[int]
    allowed: np.ndarray | None


def step_of(name: str, vocabulary_size: int) -> Step:
    random = np.random.default_rng(0)
    logits = random.standard_normal((NUM_ROWS, vocabulary_size), np.float32) * 1.5
    logits[:, :8] += 12  # a model's next token is one of few
    said = random.integers(0, vocabulary_size, (2, NUM_TOKENS)).tolist()
    params = SamplingParams(max_tokens=NUM_TOKENS + 1, **WORKLOADS[name])
    words = random.integers(-(2**31), 2**31, -(-vocabulary_size // 32), np.int32)
    allowed = words if name == "grammar" else None
    return Step(torch.from_numpy(logits), params, frozenset(said[0]), said[1], allowed)


def sampler_at(commit: str) -> ModuleType:
    """Return the sampler's module as it was at a commit."""
    root = Path(__file__).parents[2]
    command = ["git", "show", f"{commit}:{OLD_PATH}"]
    source = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True).stdout
    module = sys.modules["old_sampler"] = ModuleType("old_sampler")
    exec(compile(source, OLD_PATH, "exec"), module.__dict__)  # noqa: S102 - our own
    return module


def sample_before(sampler: ModuleType, step: Step) -> list[Any]:
    """Sample a step as the model runner did."""
    allowed = None if step.allowed is None else torch.from_numpy(step.allowed)
    rows = [
        sampler.SamplingRow(step.params, seed, step.prompt_ids, step.output_ids, allowed)
        for seed in range(NUM_ROWS)
    ]
    results: list[Any] = sampler.sample(step.logits, rows)
    return results


@dataclass
class Sampling:
    """The sampling of one step as it is, and the CPU time of its parts in µs."""

    step: Step
    inputs: list[SamplingInput] = field(default_factory=list)
    parts: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        step = self.step
        size = step.logits.shape[1]
        for seed in range(NUM_ROWS):
            state = SamplingState.create(
                step.params, seed, prompt_ids=step.prompt_ids, vocabulary_size=size
            )
            self.inputs.append(SamplingInput(state, step.output_ids))

    def sample(self) -> list[Any]:
        """Sample the step: batch, launch, read."""
        times = [time.thread_time()]
        for one in self.inputs:
            one.allowed = self.step.allowed
        batch = SamplingBatch.create(self.inputs, self.step.logits.shape[1])
        times.append(time.thread_time())
        launched = launch(self.step.logits, batch)
        times.append(time.thread_time())
        results: list[Any] = launched.read()
        times.append(time.thread_time())
        batch_us, launch_us, read_us = np.diff(times) * 1e6
        self.parts.append((batch_us, launch_us, read_us))
        return results


def cpu_ms(act: Callable[[], object]) -> float:
    started_s = time.thread_time()
    act()
    return (time.thread_time() - started_s) * 1e3


def values(results: Sequence[Any]) -> list[Any]:
    """Return what old and new results have in common."""
    names = ("token_id", "logprob", "top_logprobs")
    return [[getattr(result, name, None) for name in names] for result in results]


def show(name: str, vocabulary_size: int, before: ModuleType, num_repeats: int) -> None:
    """Print a row of the table."""
    step = step_of(name, vocabulary_size)
    old, new = partial(sample_before, before, step), Sampling(step)
    assert values(old()) == values(new.sample()), "other tokens than before"
    pairs = [(cpu_ms(old), cpu_ms(new.sample)) for _ in range(num_repeats)]
    was, now = (median(column) for column in zip(*pairs, strict=True))
    parts = " | ".join(f"{median(column):.0f}" for column in zip(*new.parts, strict=True))
    print(f"| {name} | {vocabulary_size:,} | {was:.2f} | {now:.2f} | {was / now:.1f} | {parts} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT")
    parser.add_argument("--repeats", default=200, type=int, help="with the small vocabulary")
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = sampler_at(options.before)
    print(
        "| workload | vocabulary | before, ms | now, ms | x | batch, µs | launch, µs | read, µs |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with torch.inference_mode():
        for vocabulary_size, num_repeats in ((64, options.repeats), (151_672, 7)):
            for name in WORKLOADS:
                show(name, vocabulary_size, before, num_repeats)


if __name__ == "__main__":
    main()
