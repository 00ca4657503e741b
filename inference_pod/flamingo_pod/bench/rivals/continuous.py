"""transformers' continuous batching, which takes token ids only, made to hear.

Its scheduler and its cache see ids from the vocabulary's size upwards, one for
each audio token; the embedding layer looks those up in a table of audio
embeddings. It never hears of it. A clip keeps its ids, so its own sharing of
prompt beginnings works for further questions about the clip, and the clip is
encoded once: more than anyone gets from it without this wrapper.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers

from flamingo_common.audio import windows
from flamingo_pod.bench import task
from flamingo_pod.bench.meter import ResourceMeter
from flamingo_pod.bench.outcome import BenchOutput, BenchResult
from flamingo_pod.bench.rivals import transformers_generate
from flamingo_pod.bench.task import BenchTask, EngineUnavailable
from flamingo_pod.bench.workload import Workload, WorkloadRequest
from flamingo_pod.text import prompt

PAGE_TOKENS = 256
BATCH_TOKENS = 512
"""Tokens of one forward pass. Of 256, 512, 1024 and 2048 the cheapest on workload M here."""
LONGEST_WAIT_S = 1.0
"""Between two looks at whether its thread still lives."""


class _AudioEmbedding(torch.nn.Module):
    """An embedding layer whose ids from `num_words` upwards are audio."""

    def __init__(self, words: torch.nn.Embedding, num_audio_tokens: int) -> None:
        super().__init__()
        self.words = words
        self.weight = words.weight
        self.num_words = words.num_embeddings
        self.heard = torch.zeros(num_audio_tokens, words.embedding_dim)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of words and audio."""
        embeds: torch.Tensor = self.words(ids.clamp(max=self.num_words - 1))
        is_audio = ids >= self.num_words
        if is_audio.any():
            embeds[is_audio] = self.heard[ids[is_audio] - self.num_words]
        return embeds


@dataclass(slots=True)
class _Engine:
    """The manager, with the clips it has heard."""

    job: BenchTask
    manager: Any
    hearing: _AudioEmbedding
    first_ids: dict[int, int] = field(default_factory=dict)
    """Of each clip heard."""
    num_heard: int = 0

    def add(self, request: WorkloadRequest) -> None:
        """Give it the request."""
        if request.clip not in self.first_ids:
            self._hear(request)
        samples = self.job.clips[request.clip]
        processor = self.job.checkpoint.processor
        ids = prompt.token_ids(processor, request.turns, windows.num_tokens(len(samples)))
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
    def _hear(self, request: WorkloadRequest) -> None:
        """Put the clip's embeddings, as transformers' own code makes them, into the table."""
        inputs = transformers_generate.prepared(self.job, [request])
        heard = self.job.checkpoint.model.get_audio_features(
            inputs["input_features"], inputs["input_features_mask"], inputs["input_ids"]
        ).pooler_output
        end = self.num_heard + len(heard)
        self.hearing.heard[self.num_heard : end] = heard
        self.first_ids[request.clip] = self.hearing.num_words + self.num_heard
        self.num_heard = end

    def finished(self, until_s: float) -> Any | None:
        """Return the next request that is done within `until_s`, or None.

        Raises:
            RuntimeError: its thread is dead, or it failed on the request.
        """
        result = self.manager.get_result(timeout=until_s)
        if result is None and not self.manager.is_running():
            raise RuntimeError("its thread ended")
        if result is not None and result.error:
            raise RuntimeError(result.error)
        return result if result is not None and result.is_finished() else None


def run(job: BenchTask) -> BenchResult:
    """Measure continuous batching on the workload.

    Raises:
        EngineUnavailable: these transformers have none.
    """
    engine = _started(job)
    try:
        engine.add(job.work.warm_up)
        while engine.finished(LONGEST_WAIT_S) is None:
            pass
        meter = ResourceMeter()
        answers = list(_answers(engine, job.work, meter))
        used = meter.stop()
    finally:
        engine.manager.stop(block=True)
    note = f"pages of {PAGE_TOKENS}, {BATCH_TOKENS} tokens a pass; each clip encoded once"
    return BenchResult(used=used, answers=task.checked(answers, job.work), note=note)


def _started(job: BenchTask) -> _Engine:
    settings = getattr(transformers, "ContinuousBatchingConfig", None)
    if settings is None:
        raise EngineUnavailable(
            f"transformers {transformers.__version__} has no ContinuousBatchingConfig"
        )
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.CRITICAL)
    model = job.checkpoint.model
    num_audio_tokens = sum(windows.num_tokens(len(samples)) for samples in job.clips)
    hearing = _AudioEmbedding(model.get_input_embeddings(), num_audio_tokens)
    model.set_input_embeddings(hearing)
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
    return _Engine(job, manager, hearing)


def _num_pages(job: BenchTask) -> int:
    """Return enough that no request ever waits for a page."""
    longest = max(len(samples) for samples in job.clips)
    answer = max(request.num_tokens for request in job.work.requests)
    tokens = windows.num_tokens(longest) + answer + PAGE_TOKENS
    return len(job.work.requests) * -(-tokens // PAGE_TOKENS)


def _answers(engine: _Engine, work: Workload, meter: ResourceMeter) -> Iterator[BenchOutput]:
    """Yield each answer as it ends; requests are added as they arrive."""
    by_number = {request.number: request for request in work.requests}
    next_of = {request.after: request for request in work.requests if request.after is not None}
    arrived_s: dict[int, float] = {}
    to_come = [request for request in work.requests if request.after is None]
    num_left = len(work.requests)
    while num_left:
        while to_come and to_come[0].arrival_s <= meter.now_s():
            arrived_s[to_come[0].number] = to_come[0].arrival_s
            engine.add(to_come.pop(0))
        wait_s = to_come[0].arrival_s - meter.now_s() if to_come else LONGEST_WAIT_S
        done = engine.finished(min(max(0.0, wait_s), LONGEST_WAIT_S))
        if done is None:
            continue
        num_left -= 1
        number = int(done.request_id)
        came_s = done.timestamps[0] - meter.started_s - arrived_s[number]
        yield BenchOutput(by_number[number].number, tuple(done.generated_tokens), came_s)
        if number in next_of:
            arrived_s[next_of[number].number] = meter.now_s()
            engine.add(next_of[number])
