"""transformers' `generate`, as in the model's documentation: one by one, or in batches.

Each request runs the processor and then `generate`; nothing of a clip is cached between two
questions, because this interface does not support it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from flamingo_pod.bench import task
from flamingo_pod.bench.meter import ResourceMeter
from flamingo_pod.bench.results import BenchOutput, BenchResult
from flamingo_pod.bench.task import BenchTask
from flamingo_pod.bench.workload import WorkloadRequest

BATCH_SIZE = 8


def run_one_by_one(job: BenchTask) -> BenchResult:
    """Measure `generate` on one request after the other."""
    return _run(job, 1)


def run_static_batches(job: BenchTask) -> BenchResult:
    """Measure `generate` on batches of 8, padded on the left, as long as the longest answer.

    A batch waits until it is full, which is best for CPU-seconds and worst for latency.
    """
    return _run(job, BATCH_SIZE)


class _FirstTokenTimer(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """Records when the first token was generated; stops nothing."""

    def __init__(self, meter: ResourceMeter) -> None:
        self._meter = meter
        self.first_token_s: float | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        del scores, kwargs
        if self.first_token_s is None:
            self.first_token_s = self._meter.now_s()
        return torch.zeros(len(input_ids), dtype=torch.bool)


@dataclass(slots=True)
class _BatchRun:
    """The state of one measured run."""

    job: BenchTask
    meter: ResourceMeter = field(default_factory=ResourceMeter)
    outputs: list[BenchOutput] = field(default_factory=list)
    answered_s: dict[int, float] = field(default_factory=dict)
    """When each request was answered, which is when a follow-up question arrives."""

    def arrived_s(self, request: WorkloadRequest) -> float:
        """Return when a request arrived whose predecessor is answered."""
        return request.arrival_s if request.after is None else self.answered_s[request.after]

    def generate(self, batch: Sequence[WorkloadRequest]) -> None:
        """Wait until all requests of a batch have arrived, and generate for them together."""
        self.meter.wait_until(max(map(self.arrived_s, batch)))
        timer = _FirstTokenTimer(self.meter)
        generated = generate(self.job, batch, timer)
        for request, (ids, margins) in zip(batch, generated, strict=True):
            self.answered_s[request.number] = self.meter.now_s()
            waited_s = (timer.first_token_s or 0.0) - self.arrived_s(request)
            self.outputs.append(BenchOutput(request.number, ids, waited_s, margins))


def _run(job: BenchTask, batch_size: int) -> BenchResult:
    generate(job, [job.workload.warm_up], _FirstTokenTimer(ResourceMeter()))
    run = _BatchRun(job)
    waiting = list(job.workload.requests)
    while waiting:
        ready = [one for one in waiting if one.after is None or one.after in run.answered_s]
        run.generate(ready[:batch_size])
        waiting = [one for one in waiting if one.number not in run.answered_s]
    used = run.meter.stop()
    return BenchResult(used=used, outputs=task.check_lengths(run.outputs, job.workload))


@torch.inference_mode()
def generate(
    job: BenchTask, batch: Sequence[WorkloadRequest], timer: StoppingCriteria
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Return each request's tokens, truncated to its length, and their margins over the second."""
    inputs = prepare(job, batch)
    generated = job.checkpoint.model.generate(
        **inputs,
        use_cache=True,  # published checkpoints set it to False
        do_sample=False,
        max_new_tokens=max(request.num_tokens for request in batch),
        stopping_criteria=StoppingCriteriaList([timer]),
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = generated.sequences[:, inputs["input_ids"].shape[1] :].tolist()
    best = torch.stack(generated.logits, dim=1).topk(2).values
    margins = (best[..., 0] - best[..., 1]).tolist()
    return [
        (tuple(tokens[: request.num_tokens]), tuple(margin[: request.num_tokens]))
        for tokens, margin, request in zip(ids, margins, batch, strict=True)
    ]


def prepare(job: BenchTask, batch: Sequence[WorkloadRequest]) -> Any:
    """Return the inputs that the checkpoint's processor makes of the requests."""
    texts = [prompt_text(job, request) for request in batch]
    audio = [job.clips[request.clip] for request in batch]
    return job.checkpoint.processor(text=texts, audio=audio)


def prompt_text(job: BenchTask, request: WorkloadRequest) -> str:
    """Return the output of the chat template, with one `<sound>` for the clip."""
    text: str = job.checkpoint.processor.apply_chat_template(
        _messages(request), add_generation_prompt=True, tokenize=False
    )
    return text


def _messages(request: WorkloadRequest) -> list[dict[str, Any]]:
    audio = [{"type": "audio"}]
    return [
        {
            "role": turn.role,
            "content": [*(audio if turn.has_audio else []), {"type": "text", "text": turn.text}],
        }
        for turn in request.turns
    ]
