"""transformers' `generate`, as the model's documentation has it: one by one, or in batches.

Each request goes the whole way, processor then generate; nothing is kept of a
clip between two questions, because this way has no place for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from flamingo_pod.bench import task
from flamingo_pod.bench.meter import ResourceMeter
from flamingo_pod.bench.outcome import BenchOutput, BenchResult
from flamingo_pod.bench.task import BenchTask
from flamingo_pod.bench.workload import WorkloadRequest

BATCH = 8


def one_by_one(job: BenchTask) -> BenchResult:
    """Measure `generate` on one request after the other."""
    return _run(job, 1)


def static_batches(job: BenchTask) -> BenchResult:
    """Measure `generate` on batches of 8, padded on the left, as long as the longest answer.

    A batch waits until it is full: that is its best in CPU-seconds, its worst in waiting.
    """
    return _run(job, BATCH)


class _FirstToken(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """Notes when the first token was there; stops nothing."""

    def __init__(self, meter: ResourceMeter) -> None:
        self._meter = meter
        self.came_s: float | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        del scores, kwargs
        self.came_s = self._meter.now_s() if self.came_s is None else self.came_s
        return torch.zeros(len(input_ids), dtype=torch.bool)


@dataclass(slots=True)
class _Run:
    """The state of one measured run."""

    job: BenchTask
    meter: ResourceMeter = field(default_factory=ResourceMeter)
    answers: list[BenchOutput] = field(default_factory=list)
    ended_s: dict[int, float] = field(default_factory=dict)
    """When each request was answered: a further question about its clip arrives then."""

    def arrived_s(self, request: WorkloadRequest) -> float:
        """Return when it came; its predecessor is answered."""
        return request.arrival_s if request.after is None else self.ended_s[request.after]

    def answer(self, batch: Sequence[WorkloadRequest]) -> None:
        """Wait until all have arrived, and answer them together."""
        self.meter.wait_until(max(map(self.arrived_s, batch)))
        first = _FirstToken(self.meter)
        said = generate(self.job, batch, first)
        for request, (ids, margins) in zip(batch, said, strict=True):
            self.ended_s[request.number] = self.meter.now_s()
            came_s = (first.came_s or 0.0) - self.arrived_s(request)
            self.answers.append(BenchOutput(request.number, ids, came_s, margins))


def _run(job: BenchTask, size: int) -> BenchResult:
    generate(job, [job.work.warm_up], _FirstToken(ResourceMeter()))
    run = _Run(job)
    waiting = list(job.work.requests)
    while waiting:
        batch = [one for one in waiting if one.after is None or one.after in run.ended_s][:size]
        run.answer(batch)
        waiting = [one for one in waiting if one.number not in run.ended_s]
    return BenchResult(used=run.meter.stop(), answers=task.checked(run.answers, job.work))


@torch.inference_mode()
def generate(
    job: BenchTask, batch: Sequence[WorkloadRequest], first: StoppingCriteria
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Return the tokens of each, cut to what it asked for, and their margins over the next."""
    inputs = prepared(job, batch)
    said = job.checkpoint.model.generate(
        **inputs,
        use_cache=True,  # published checkpoints say False of themselves
        do_sample=False,
        max_new_tokens=max(request.num_tokens for request in batch),
        stopping_criteria=StoppingCriteriaList([first]),
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = said.sequences[:, inputs["input_ids"].shape[1] :].tolist()
    best = torch.stack(said.logits, dim=1).topk(2).values
    margins = (best[..., 0] - best[..., 1]).tolist()
    return [
        (tuple(tokens[: request.num_tokens]), tuple(margin[: request.num_tokens]))
        for tokens, margin, request in zip(ids, margins, batch, strict=True)
    ]


def prepared(job: BenchTask, batch: Sequence[WorkloadRequest]) -> Any:
    """Return what the checkpoint's processor makes of the requests."""
    texts = [text_of(job, request) for request in batch]
    audio = [job.clips[request.clip] for request in batch]
    return job.checkpoint.processor(text=texts, audio=audio)


def text_of(job: BenchTask, request: WorkloadRequest) -> str:
    """Return what the chat template writes, one `<sound>` for the clip."""
    written: str = job.checkpoint.processor.apply_chat_template(
        _messages(request), add_generation_prompt=True, tokenize=False
    )
    return written


def _messages(request: WorkloadRequest) -> list[dict[str, Any]]:
    audio = [{"type": "audio"}]
    return [
        {
            "role": turn.role,
            "content": [*(audio if turn.has_audio else []), {"type": "text", "text": turn.text}],
        }
        for turn in request.turns
    ]
