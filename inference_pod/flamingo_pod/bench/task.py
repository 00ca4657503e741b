"""What every engine starts with: the model, the workload and its clips."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from flamingo_pod.bench import synthetic_audio, workload
from flamingo_pod.bench.results import BenchOutput
from flamingo_pod.bench.synthetic_audio import Samples
from flamingo_pod.bench.workload import Workload, WorkloadPlan
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.model.checkpoint import Checkpoint

CLIP_SEED_FACTOR = 1000


class EngineUnavailable(Exception):
    """The engine cannot run here; the message explains why."""


@dataclass(frozen=True, slots=True)
class BenchTask:
    """A workload, ready to run."""

    checkpoint: Checkpoint
    workload: Workload
    clips: tuple[Samples, ...]


def create(plan: WorkloadPlan, model: str) -> BenchTask:
    """Return the task; nothing of this is measured.

    Raises:
        ModelLoadFailed: the model does not exist or is not supported.
    """
    built = workload.build(plan)
    first = CLIP_SEED_FACTOR * (plan.seed + 1)
    clips = [
        synthetic_audio.make_clip(seconds, first + number)
        for number, seconds in enumerate(built.clips_s)
    ]
    return BenchTask(load(model), built, tuple(clips))


def load(model: str) -> Checkpoint:
    """Return the model in float32 on the CPU, without end-of-sequence tokens.

    So every output has exactly the requested length, in every engine.
    """
    source = checkpoint.CheckpointSource(
        id=model,
        revision=None,
        dtype="float32",
        device="cpu",
        cache=build.cache_folder(os.environ),
    )
    loaded = checkpoint.load(source)
    loaded.model.generation_config.eos_token_id = None
    limits = dataclasses.replace(loaded.limits, eos_token_ids=frozenset())
    return dataclasses.replace(loaded, limits=limits)


def check_lengths(outputs: Sequence[BenchOutput], work: Workload) -> tuple[BenchOutput, ...]:
    """Return the outputs in the requests' order; an output of another length is a bug."""
    by_number = {output.number: output for output in outputs}
    for request in work.requests:
        got = len(by_number[request.number].token_ids)
        if got != request.num_tokens:
            raise AssertionError(
                f"request {request.number}: {got} tokens instead of {request.num_tokens}"
            )
    return tuple(by_number[request.number] for request in work.requests)
