"""What every engine starts from: the model, the workload, its clips. Torch."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from flamingo_pod.bench import sound, workload
from flamingo_pod.bench.outcome import BenchOutput
from flamingo_pod.bench.sound import Samples
from flamingo_pod.bench.workload import Workload, WorkloadPlan
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.model.checkpoint import Checkpoint

SEED_OF_SOUND = 1000


class EngineUnavailable(Exception):
    """The engine is not to be had here; says why."""


@dataclass(frozen=True, slots=True)
class BenchTask:
    """The work, ready to be done."""

    checkpoint: Checkpoint
    work: Workload
    clips: tuple[Samples, ...]


def create(plan: WorkloadPlan, model: str) -> BenchTask:
    """Return the task: nothing of this is measured.

    Raises:
        CannotLoad: there is no such model.
    """
    work = workload.build(plan)
    first = SEED_OF_SOUND * (plan.seed + 1)
    clips = [sound.clip(seconds, first + number) for number, seconds in enumerate(work.clips_s)]
    return BenchTask(load(model), work, tuple(clips))


def load(model: str) -> Checkpoint:
    """Return the model in float32, on the CPU, and for it end-of-sequence is a token like others.

    So that every answer is as long as asked, in every engine alike.
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
    unending = dataclasses.replace(loaded.limits, eos_token_ids=frozenset())
    return dataclasses.replace(loaded, limits=unending)


def checked(answers: Sequence[BenchOutput], work: Workload) -> tuple[BenchOutput, ...]:
    """Return the answers in the requests' order; a request with too few tokens is a bug."""
    by_number = {answer.number: answer for answer in answers}
    for request in work.requests:
        got = len(by_number[request.number].token_ids)
        if got != request.num_tokens:
            raise AssertionError(
                f"request {request.number}: {got} tokens, {request.num_tokens} asked"
            )
    return tuple(by_number[request.number] for request in work.requests)
