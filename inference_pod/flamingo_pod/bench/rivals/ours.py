"""Our engine, through its seam and nothing else."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from flamingo_common.audio import windows
from flamingo_pod.audio import sound_file
from flamingo_pod.bench import meter as meters
from flamingo_pod.bench import task
from flamingo_pod.bench.meter import ResourceMeter
from flamingo_pod.bench.outcome import BenchOutput, BenchResult, FollowUpReuse
from flamingo_pod.bench.task import BenchTask
from flamingo_pod.bench.workload import WorkloadRequest
from flamingo_pod.engine import kv
from flamingo_pod.engine.audio import ClipAudio, Samples
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.sequence import SamplingParams
from flamingo_pod.text import prompt


def run(job: BenchTask) -> BenchResult:
    """Measure our engine on the workload, then its stages and further questions about a clip."""
    return asyncio.run(_run(job))


async def _run(job: BenchTask) -> BenchResult:
    async with _running(job) as engine:
        await _RequestRunner(job, engine).answer(job.work.warm_up)
        before_s = told_stages_s(engine)
        asking = _RequestRunner(job, engine)
        answers = await asyncio.gather(*map(asking.answer, job.work.requests))
        used = asking.meter.stop()
        after_s = told_stages_s(engine)
        stages_s = {stage: after_s[stage] - before_s[stage] for stage in after_s}
        follow_ups = await _follow_ups(job, engine)
    with meters.counted(stages_s, "decode audio"):
        for data in map(_as_file, job.clips):
            sound_file.decode_bytes(data, max_seconds=3600)
    with meters.counted(stages_s, "detokenise"):
        for answer in answers:
            job.checkpoint.processor.tokenizer.decode(answer.token_ids)
    return BenchResult(
        used=used,
        answers=task.checked(answers, job.work),
        stages_s=stages_s,
        follow_ups=follow_ups,
    )


def _as_file(samples: Samples) -> bytes:
    """Return a clip as it would be uploaded: a pod's worker decodes beside the engine."""
    return sound_file.encode_file(samples[None], windows.SAMPLE_RATE_HZ, "flac")


# The seam, in four functions: all that changes here when the engine does.


def hear(job: BenchTask, request: WorkloadRequest) -> Prompt:
    """Return the request's prompt with its audio, as if the clip had never been seen."""
    samples = job.clips[request.clip]
    ids = prompt.token_ids(
        job.checkpoint.processor, request.turns, windows.num_tokens(len(samples))
    )
    return Prompt(ids, ClipAudio.from_samples(samples))


def told_stages_s(engine: Engine) -> dict[str, float]:
    """Return the seconds that each stage has taken since the engine's start."""
    return dict(engine.profile.stages)


def told_prompt_tokens(engine: Engine) -> tuple[int, int]:
    """Return the prompt tokens since the engine's start, and those of them that it computed."""
    told = engine.profile
    return told.num_prompt_tokens, told.num_prompt_tokens - told.num_cached_tokens


@contextlib.asynccontextmanager
async def _running(job: BenchTask) -> AsyncIterator[Engine]:
    options = EngineOptions(
        kv_cache_tokens=kv.default_capacity_tokens(job.checkpoint.model),
        encoder_cache_bytes=2**30,
        model_impl="fused",
        max_num_seqs=64,
    )
    engine = Engine(job.checkpoint, options)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


@dataclass(slots=True)
class _RequestRunner:
    """Asks each request when it arrives."""

    job: BenchTask
    engine: Engine
    meter: ResourceMeter = field(default_factory=ResourceMeter)
    answered: dict[int, asyncio.Event] = field(default_factory=dict)

    async def answer(self, request: WorkloadRequest) -> BenchOutput:
        """Return the answer; a further question waits for the answer before it."""
        if request.after is None:
            await asyncio.sleep(request.arrival_s - self.meter.now_s())
            arrived_s = request.arrival_s
        else:
            await self._answered(request.after).wait()
            arrived_s = self.meter.now_s()
        tokens, first_s = [], None
        asked = hear(self.job, request)
        async for step in self.engine.generate(
            asked, SamplingParams(max_tokens=request.num_tokens)
        ):
            first_s = self.meter.now_s() if first_s is None else first_s
            if step.token_id is not None:
                tokens.append(step.token_id)
        self._answered(request.number).set()
        return BenchOutput(request.number, tuple(tokens), (first_s or 0.0) - arrived_s)

    def _answered(self, number: int) -> asyncio.Event:
        return self.answered.setdefault(number, asyncio.Event())


async def _follow_ups(job: BenchTask, engine: Engine) -> FollowUpReuse:
    """Return how much of each further prompt about one clip was computed."""
    read = [await _read(job, engine, request) for request in job.work.follow_ups]
    further = range(1, len(read))
    return FollowUpReuse(
        shares=tuple(read[at].share for at in further),
        least=tuple(_new_share(read[at], read[:at]) for at in further),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """One prompt, and how much of it was computed."""

    token_ids: Sequence[int]
    share: float


async def _read(job: BenchTask, engine: Engine, request: WorkloadRequest) -> _Read:
    before = told_prompt_tokens(engine)
    asked = hear(job, request)
    async for _ in engine.generate(asked, SamplingParams(max_tokens=request.num_tokens)):
        pass
    after = told_prompt_tokens(engine)
    return _Read(asked.token_ids, (after[1] - before[1]) / (after[0] - before[0]))


def _new_share(one: _Read, earlier: Sequence[_Read]) -> float:
    """Return the share of a prompt that begins no earlier one."""
    num_common = max(_num_common(one, other) for other in earlier)
    return 1 - num_common / len(one.token_ids)


def _num_common(one: _Read, other: _Read) -> int:
    """Return how many tokens two prompts have in common from their start."""
    both = zip(one.token_ids, other.token_ids, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
