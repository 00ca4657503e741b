"""transformers' continuous batching, which takes token ids only, made to take audio.

Its scheduler and cache get ids from the vocabulary's size upwards, one for each audio token; the
embedding layer looks them up in a table of audio embeddings. A clip keeps its ids, so its prefix
cache works for further questions about the clip, and the clip is encoded once: more than it
offers without this wrapper.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers

from flamingo_common.audio import windows
from flamingo_pod.bench import task
from flamingo_pod.bench.engines import transformers_generate
from flamingo_pod.bench.meter import ResourceMeter
from flamingo_pod.bench.results import BenchOutput, BenchResult
from flamingo_pod.bench.task import BenchTask, EngineUnavailable
from flamingo_pod.bench.workload import Workload, WorkloadRequest
from flamingo_pod.text import prompt

PAGE_TOKENS = 256
BATCH_TOKENS = 512
"""Tokens of one forward pass: the cheapest of 256, 512, 1024 and 2048 on the default workload."""
MAX_WAIT_S = 1.0
"""Between two checks that its thread is alive."""


class _AudioEmbedding(torch.nn.Module):
    """An embedding layer whose ids from the vocabulary's size upwards are audio."""

    def __init__(self, words: torch.nn.Embedding, num_audio_tokens: int) -> None:
        super().__init__()
        self.words = words
        self.weight = words.weight
        self.num_words = words.num_embeddings
        self.audio = torch.zeros(num_audio_tokens, words.embedding_dim)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of words and audio."""
        embeds: torch.Tensor = self.words(ids.clamp(max=self.num_words - 1))
        is_audio = ids >= self.num_words
        if is_audio.any():
            embeds[is_audio] = self.audio[ids[is_audio] - self.num_words]
        return embeds


@dataclass(slots=True)
class _ContinuousBatching:
    """The manager, with the clips encoded so far."""

    job: BenchTask
    manager: Any
    embedding: _AudioEmbedding
    first_ids: dict[int, int] = field(default_factory=dict)
    """By clip."""
    num_audio_tokens: int = 0

    def add(self, request: WorkloadRequest) -> None:
        """Submit a request."""
        if request.clip not in self.first_ids:
            self._encode(request)
        samples = self.job.clips[request.clip]
        processor = self.job.checkpoint.processor
        num_audio_tokens = windows.num_tokens(len(samples))
        ids = prompt.token_ids(processor, request.turns, num_audio_tokens).tolist()
        first = self.first_ids[request.clip]
        audio_ids = iter(range(first, first + len(ids)))
        virtual = [next(audio_ids) if one == processor.audio_token_id else one for one in ids]
        self.manager.add_request(
            virtual,
            request_id=str(request.number),
            max_new_tokens=request.num_tokens,
            record_timestamps=True,
        )

    @torch.inference_mode()
    def _encode(self, request: WorkloadRequest) -> None:
        """Put the clip's embeddings, computed by transformers' own code, into the table."""
        inputs = transformers_generate.prepare(self.job, [request])
        embeds = self.job.checkpoint.model.get_audio_features(
            inputs["input_features"], inputs["input_features_mask"], inputs["input_ids"]
        ).pooler_output
        end = self.num_audio_tokens + len(embeds)
        self.embedding.audio[self.num_audio_tokens : end] = embeds
        self.first_ids[request.clip] = self.embedding.num_words + self.num_audio_tokens
        self.num_audio_tokens = end

    def next_finished(self, timeout_s: float) -> Any | None:
        """Return the next request that finishes within `timeout_s`, or None.

        Raises:
            RuntimeError: its thread has ended, or it failed on the request.
        """
        result = self.manager.get_result(timeout=timeout_s)
        if result is None and not self.manager.is_running():
            raise RuntimeError("the thread of continuous batching has ended")
        if result is not None and result.error:
            raise RuntimeError(result.error)
        return result if result is not None and result.is_finished() else None


def run(job: BenchTask) -> BenchResult:
    """Measure continuous batching on the workload.

    Raises:
        EngineUnavailable: this version of transformers does not have it.
    """
    engine = _start(job)
    try:
        engine.add(job.workload.warm_up)
        while engine.next_finished(MAX_WAIT_S) is None:
            pass
        meter = ResourceMeter()
        outputs = list(_outputs(engine, job.workload, meter))
        used = meter.stop()
    finally:
        engine.manager.stop(block=True)
    note = f"pages of {PAGE_TOKENS}, {BATCH_TOKENS} tokens per pass; each clip encoded once"
    return BenchResult(used=used, outputs=task.check_lengths(outputs, job.workload), note=note)


def _start(job: BenchTask) -> _ContinuousBatching:
    settings = getattr(transformers, "ContinuousBatchingConfig", None)
    if settings is None:
        version = transformers.__version__
        raise EngineUnavailable(f"transformers {version} has no ContinuousBatchingConfig")
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.CRITICAL)
    model = job.checkpoint.model
    num_audio_tokens = sum(windows.num_tokens(len(samples)) for samples in job.clips)
    embedding = _AudioEmbedding(model.get_input_embeddings(), num_audio_tokens)
    model.set_input_embeddings(embedding)
    manager = model.init_continuous_batching(
        generation_config=transformers.GenerationConfig(
            do_sample=False,
            eos_token_id=-1,  # none
            pad_token_id=model.generation_config.pad_token_id,
        ),
        continuous_batching_config=settings(
            page_size=PAGE_TOKENS,
            num_blocks=_num_pages(job),
            max_batch_tokens=BATCH_TOKENS,
        ),
    )
    manager.start()
    return _ContinuousBatching(job, manager, embedding)


def _num_pages(job: BenchTask) -> int:
    """Return enough pages that no request ever waits for one."""
    longest = max(len(samples) for samples in job.clips)
    output = max(request.num_tokens for request in job.workload.requests)
    tokens = windows.num_tokens(longest) + output + PAGE_TOKENS
    return len(job.workload.requests) * -(-tokens // PAGE_TOKENS)


def _outputs(
    engine: _ContinuousBatching, workload: Workload, meter: ResourceMeter
) -> Iterator[BenchOutput]:
    """Yield each output as it finishes; requests are added as they arrive."""
    by_number = {request.number: request for request in workload.requests}
    next_of = {request.after: request for request in workload.requests if request.after is not None}
    arrived_s: dict[int, float] = {}
    to_come = [request for request in workload.requests if request.after is None]
    num_left = len(workload.requests)
    while num_left:
        while to_come and to_come[0].arrival_s <= meter.now_s():
            arrived_s[to_come[0].number] = to_come[0].arrival_s
            engine.add(to_come.pop(0))
        wait_s = to_come[0].arrival_s - meter.now_s() if to_come else MAX_WAIT_S
        done = engine.next_finished(min(max(0.0, wait_s), MAX_WAIT_S))
        if done is None:
            continue
        num_left -= 1
        number = int(done.request_id)
        waited_s = done.timestamps[0] - meter.started_s - arrived_s[number]
        yield BenchOutput(by_number[number].number, tuple(done.generated_tokens), waited_s)
        if number in next_of:
            arrived_s[next_of[number].number] = meter.now_s()
            engine.add(next_of[number])
