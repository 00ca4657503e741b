"""Our engine, through the interface that the pod's API uses."""

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
from flamingo_pod.bench.results import BenchOutput, BenchResult, FollowUpShares
from flamingo_pod.bench.task import BenchTask
from flamingo_pod.bench.workload import WorkloadRequest
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.device import device_memory
from flamingo_pod.engine.encoding.audio import ClipAudio, Samples
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.startup import memory_profile
from flamingo_pod.text import prompt

ENCODER_CACHE_BYTES = 2**30
MAX_NUM_SEQS = 64


def run(job: BenchTask) -> BenchResult:
    """Measure our engine on the workload, then its stages and follow-up questions about a clip."""
    return asyncio.run(_run(job))


async def _run(job: BenchTask) -> BenchResult:
    async with _running(job) as engine:
        await _Client(job, engine).send(job.workload.warm_up)
        before_s = dict(engine.profile.stages)
        client = _Client(job, engine)
        outputs = await asyncio.gather(*map(client.send, job.workload.requests))
        used = client.meter.stop()
        stages_s = {name: s - before_s[name] for name, s in engine.profile.stages.items()}
        follow_ups = await _follow_ups(job, engine)
    with meters.add_cpu_time(stages_s, "decode audio"):
        for data in map(_as_file, job.clips):
            sound_file.decode_bytes(data, max_seconds=3600)
    with meters.add_cpu_time(stages_s, "detokenize"):
        for output in outputs:
            job.checkpoint.processor.tokenizer.decode(output.token_ids)
    return BenchResult(
        used=used,
        outputs=task.check_lengths(outputs, job.workload),
        stages_s=stages_s,
        follow_ups=follow_ups,
    )


def _as_file(samples: Samples) -> bytes:
    """Return a clip as it would be uploaded: a decode worker of the pod decodes it."""
    return sound_file.encode_file(samples[None], windows.SAMPLE_RATE_HZ, "flac")


def _prompt(job: BenchTask, request: WorkloadRequest) -> Prompt:
    """Return the request's prompt with its audio, none of which is encoded."""
    samples = job.clips[request.clip]
    ids = prompt.token_ids(
        job.checkpoint.processor, request.turns, windows.num_tokens(len(samples))
    )
    return Prompt(ids, ClipAudio.from_samples(samples))


@contextlib.asynccontextmanager
async def _running(job: BenchTask) -> AsyncIterator[Engine]:
    options = EngineOptions(
        kv_cache_tokens=0,
        encoder_cache_bytes=ENCODER_CACHE_BYTES,
        model_impl="fused",
        max_num_seqs=MAX_NUM_SEQS,
    )
    memory = device_memory.of_device(job.checkpoint.model.device)
    sized = memory_profile.size_memory(job.checkpoint, options, memory)
    engine = Engine(job.checkpoint, sized.options)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


@dataclass(slots=True)
class _Client:
    """Sends each request when it arrives."""

    job: BenchTask
    engine: Engine
    meter: ResourceMeter = field(default_factory=ResourceMeter)
    answered: dict[int, asyncio.Event] = field(default_factory=dict)

    async def send(self, request: WorkloadRequest) -> BenchOutput:
        """Return the output; a follow-up question waits for the answer before it."""
        if request.after is None:
            await asyncio.sleep(request.arrival_s - self.meter.now_s())
            arrived_s = request.arrival_s
        else:
            await self._answered(request.after).wait()
            arrived_s = self.meter.now_s()
        tokens, first_s = [], None
        params = SamplingParams(max_tokens=request.num_tokens)
        async for output in self.engine.generate(_prompt(self.job, request), params):
            first_s = self.meter.now_s() if first_s is None else first_s
            if output.token_id is not None:
                tokens.append(output.token_id)
        self._answered(request.number).set()
        return BenchOutput(request.number, tuple(tokens), (first_s or 0.0) - arrived_s)

    def _answered(self, number: int) -> asyncio.Event:
        return self.answered.setdefault(number, asyncio.Event())


async def _follow_ups(job: BenchTask, engine: Engine) -> FollowUpShares:
    """Return how much of each follow-up prompt about one clip was computed."""
    prompts = [await _measure(job, engine, request) for request in job.workload.follow_ups]
    numbers = range(1, len(prompts))
    return FollowUpShares(
        computed=tuple(prompts[number].computed for number in numbers),
        new=tuple(_new_share(prompts[number], prompts[:number]) for number in numbers),
    )


@dataclass(frozen=True, slots=True)
class _MeasuredPrompt:
    token_ids: Sequence[int]
    computed: float
    """The share of its tokens that was computed."""


async def _measure(job: BenchTask, engine: Engine, request: WorkloadRequest) -> _MeasuredPrompt:
    profile = engine.profile
    num_before, num_cached_before = profile.num_prompt_tokens, profile.num_cached_tokens
    measured = _prompt(job, request)
    async for _ in engine.generate(measured, SamplingParams(max_tokens=request.num_tokens)):
        pass
    num_tokens = profile.num_prompt_tokens - num_before
    num_cached = profile.num_cached_tokens - num_cached_before
    return _MeasuredPrompt([*measured.token_ids], (num_tokens - num_cached) / num_tokens)


def _new_share(one: _MeasuredPrompt, earlier: Sequence[_MeasuredPrompt]) -> float:
    """Return the share of a prompt that no earlier one begins with."""
    num_common = max(_num_common(one, other) for other in earlier)
    return 1 - num_common / len(one.token_ids)


def _num_common(one: _MeasuredPrompt, other: _MeasuredPrompt) -> int:
    """Return the length of the common beginning of two prompts, in tokens."""
    both = zip(one.token_ids, other.token_ids, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
