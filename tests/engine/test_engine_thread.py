"""The engine's thread behind its asyncio interface."""

import asyncio
import contextlib
import threading

import numpy as np
import pytest
import torch
from engine.options import engine_options
from fakes.host_synchronisation import forbid_host_synchronisation
from fakes.patience import PATIENCE_S

from flamingo_common.errors import ContextTooLong, InternalError
from flamingo_common.wire.priority import Priority
from flamingo_common.wire.requests import EmbeddingOptions
from flamingo_pod.api import embedding_format
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn


@contextlib.asynccontextmanager
async def running(checkpoint, probe=None, **options):
    engine = Engine(checkpoint, engine_options(**options))
    if probe is not None:
        engine._probe, engine._idle_probe_s = probe, 0.01
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def text(checkpoint, words="Hello"):
    return Prompt(prompt.token_ids(checkpoint.processor, [Turn("user", words)], 0))


def sound(seconds):
    return np.random.default_rng(0).standard_normal(seconds * 16_000).astype(np.float32) * 0.1


async def steps(engine, asked, num_tokens=4, **params):
    given = SamplingParams(max_tokens=num_tokens, **params)
    return [step async for step in engine.generate(asked, given)]


async def tokens_used(engine):
    """Return the KV slots that running sequences use, read on the engine's thread."""
    result = asyncio.get_running_loop().create_future()

    def read():
        used = engine._core.scheduler.kv_cache.num_tokens_used
        result.get_loop().call_soon_threadsafe(result.set_result, used)

    engine._commands.put(read)
    return await result


def test_many_prompts_at_once_are_all_answered(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = [text(tiny, f"Question {number}") for number in range(12)]
            return await asyncio.gather(*(steps(engine, each) for each in asked))

    answers = asyncio.run(scenario())
    assert [len(answer) for answer in answers] == [4] * 12
    assert all(answer[-1].finish_reason == "length" for answer in answers)


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts how often another thread wakes it."""

    def __init__(self):
        super().__init__()
        self.num_wake_ups = 0

    def call_soon_threadsafe(self, *args, **kwargs):
        self.num_wake_ups += 1
        return super().call_soon_threadsafe(*args, **kwargs)


def test_the_event_loop_is_woken_once_a_step_for_all_sequences(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = [text(tiny, f"Question {number}") for number in range(12)]
            answers = await asyncio.gather(*(steps(engine, each, 20) for each in asked))
            return sum(map(len, answers)), engine.profile.num_steps

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        num_tokens, num_steps = runner.run(scenario())
        assert num_tokens == 12 * 20
        assert runner.get_loop().num_wake_ups <= num_steps < num_tokens / 4


def test_each_event_loop_gets_its_own_outputs(tiny):
    async def ask(engine, words):
        return [step.token_id for step in await steps(engine, text(tiny, words), 30)]

    async def scenario():
        async with running(tiny) as engine:
            alone = [await ask(engine, words) for words in ("One", "Two")]
            together = await asyncio.gather(
                *(asyncio.to_thread(asyncio.run, ask(engine, words)) for words in ("One", "Two"))
            )
            return alone, together

    alone, together = asyncio.run(scenario())
    assert alone == together
    assert alone[0] != alone[1]


def test_leaving_the_iterator_frees_the_memory_within_a_step(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = SamplingParams(max_tokens=5000)
            async with contextlib.aclosing(engine.generate(text(tiny), asked)) as stream:
                await anext(stream)
                before = await tokens_used(engine)
            return before, await tokens_used(engine)

    before, after = asyncio.run(scenario())
    assert before > 0
    assert after == 0


def test_a_sequence_cancelled_before_it_starts_never_runs(tiny):
    async def scenario():
        async with running(tiny) as engine:
            stream = engine.generate(text(tiny), SamplingParams(max_tokens=5000))
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return await tokens_used(engine)

    assert asyncio.run(scenario()) == 0


def test_a_prompt_that_can_never_fit_is_rejected_with_the_numbers(tiny):
    async def scenario():
        async with running(tiny, kv_cache_tokens=300) as engine:
            await steps(engine, text(tiny), 400)

    with pytest.raises(ContextTooLong, match=r"maximum context length is 300 tokens; "):
        asyncio.run(scenario())


def test_ids_outside_the_vocabulary_are_rejected(tiny):
    async def scenario():
        async with running(tiny) as engine:
            await steps(engine, Prompt([10**9]))

    with pytest.raises(InternalError):
        asyncio.run(scenario())


def test_an_invalid_prompt_fails_only_itself(tiny):
    async def scenario():
        async with running(tiny) as engine:
            without_slots = Prompt([7, 8, 9], ClipAudio.from_samples(sound(1)))
            with pytest.raises(InternalError):
                await steps(engine, without_slots)
            return len(await steps(engine, text(tiny))), engine.is_broken

    assert asyncio.run(scenario()) == (4, False)


def test_cancelling_an_embedding_during_its_last_windows_breaks_nothing(tiny):
    async def scenario():
        async with running(tiny) as engine:
            encoding = asyncio.ensure_future(engine.encode(ClipAudio.from_samples(sound(1))))
            encoder, loop = engine._core.runner.encoder, asyncio.get_running_loop()
            encode = encoder.encode
            left = threading.Event()

            def leave():
                encoding.cancel()
                loop.call_soon(left.set)  # once the cancellation has reached the engine's future

            def slow(*args, **kwargs):
                loop.call_soon_threadsafe(leave)
                left.wait(PATIENCE_S)
                return encode(*args, **kwargs)

            encoder.encode = slow
            await asyncio.gather(encoding, return_exceptions=True)
            return len(await steps(engine, text(tiny))), engine.is_broken

    assert asyncio.run(scenario()) == (4, False)


def test_an_embedding_is_computed_between_the_steps_of_a_stream(tiny):
    async def scenario():
        async with running(tiny) as engine:
            stream = asyncio.ensure_future(steps(engine, text(tiny), 500))
            rows = await engine.encode(ClipAudio.from_samples(sound(200)))
            was_streaming = not stream.done()
            await stream
            return rows.shape, was_streaming

    shape, was_streaming = asyncio.run(scenario())
    assert shape == (5000, 64)
    assert was_streaming


def test_embeddings_are_the_same_whatever_their_priority(tiny):
    async def scenario():
        async with running(tiny) as engine:
            expected = await engine.encode(ClipAudio.from_samples(sound(95)))
        async with running(tiny) as engine:
            stream = asyncio.ensure_future(steps(engine, text(tiny), 200))
            low = [
                asyncio.ensure_future(
                    engine.encode(
                        ClipAudio.from_samples(sound(95)), RequestStats(priority=Priority.LOW)
                    )
                )
                for _ in range(2)
            ]
            live = await engine.encode(ClipAudio.from_samples(sound(200)))
            await stream
            return expected, live[:1500], await asyncio.gather(*low)

    expected, live, low = asyncio.run(scenario())
    assert all(torch.equal(each, expected) for each in low)
    assert torch.equal(live[:750], expected[:750])


@pytest.mark.parametrize("layer", ["encoder", "projector"])
def test_the_event_loop_does_not_wait_for_the_device_to_get_an_embedding(tiny, layer):
    async def scenario():
        async with running(tiny) as engine:
            served = ServedModel(tiny, engine, card=None, decode_limits=None)
            clip = ClipAudio.from_samples(sound(2))
            with forbid_host_synchronisation():  # in this thread only
                options = EmbeddingOptions(layer=layer)
                return await embedding_format.compute_rows(served, clip, options)

    assert asyncio.run(scenario()).shape[0] == 50


def test_the_stages_of_embeddings_are_measured_though_there_is_no_prompt(tiny):
    async def scenario():
        async with running(tiny) as engine:
            await engine.encode(ClipAudio.from_samples(sound(100)))
            await tokens_used(engine)  # a command is run behind the iteration
            return engine.load.recent.encode_s, len(engine._core.runner.clock._open)

    encode_s, num_open = asyncio.run(scenario())
    assert encode_s > 0
    assert num_open == 0


def test_a_cancelled_embedding_stops_between_windows(tiny):
    async def scenario():
        async with running(tiny) as engine:
            encoding = asyncio.ensure_future(engine.encode(ClipAudio.from_samples(sound(600))))
            await asyncio.sleep(0)
            await steps(engine, text(tiny), 1)
            encoding.cancel()
            await asyncio.gather(encoding, return_exceptions=True)
            await steps(engine, text(tiny), 1)
            return engine.profile.num_windows

    assert asyncio.run(scenario()) < 20


@pytest.mark.parametrize("on_host", [False, True])
def test_a_cached_clip_is_not_encoded_again(tiny, on_host):
    async def scenario():
        async with running(tiny, are_caches_on_host=on_host) as engine:
            audio = ClipAudio.from_samples(sound(3))
            ids = prompt.token_ids(tiny.processor, [Turn("user", "Hi", True)], audio.num_tokens)
            await steps(engine, Prompt(ids, audio), 1)
            await engine.encode(audio)
            await engine.project(audio)
            return engine.profile.num_windows, [window.states for window in audio.windows]

    # The clip keeps no states: those of all running clips would be missed by the KV pool.
    assert asyncio.run(scenario()) == (1, [None])


def test_a_broken_engine_fails_all_requests(tiny):
    async def scenario():
        async with running(tiny) as engine:

            def fails(*_):
                raise MemoryError

            engine._core.runner.forward = fails
            asked = [steps(engine, text(tiny, f"Question {number}")) for number in range(5)]
            first = await asyncio.gather(*asked, return_exceptions=True)
            while not engine.is_broken:
                await asyncio.gather(steps(engine, text(tiny)), return_exceptions=True)
            with pytest.raises(InternalError, match="the engine has failed"):
                await steps(engine, text(tiny))
            return first

    assert all(isinstance(each, InternalError) for each in asyncio.run(scenario()))


@pytest.mark.parametrize("part", ["encode", "project"])
def test_windows_of_an_embedding_that_run_out_of_memory_are_encoded_alone(tiny, part):
    async def embedding(engine, kind):
        return await getattr(engine, kind)(ClipAudio.from_samples(sound(100)))

    async def scenario():
        async with running(tiny) as engine:
            expected = await embedding(engine, part)
        async with running(tiny) as engine:
            encoder = engine._core.runner.encoder
            real, num_failures = encoder.encode, 0

            def fails(windows):
                nonlocal num_failures
                if len(windows) > 1:
                    num_failures += 1
                    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                return real(windows)

            encoder.encode = fails
            return expected, await embedding(engine, part), num_failures

    expected, found, num_failures = asyncio.run(scenario())
    assert num_failures == 1
    assert torch.allclose(expected, found, atol=1e-5)


def test_the_caches_are_emptied_for_a_window_of_an_embedding_that_does_not_fit(tiny):
    async def scenario():
        async with running(tiny) as engine:
            expected = await engine.encode(ClipAudio.from_samples(sound(40)))
            encoder = engine._core.runner.encoder
            real, sizes = encoder.encode, encoder.cache_sizes_bytes
            filled = sizes()["states"]

            def fails(windows):
                if sizes()["states"] == filled:
                    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                return real(windows)

            encoder.encode = fails
            return expected, await engine.encode(ClipAudio.from_samples(sound(40)))

    expected, found = asyncio.run(scenario())
    assert torch.allclose(expected, found, atol=1e-5)


def test_a_device_lost_while_encoding_fails_all_embeddings(tiny):
    async def scenario():
        async with running(tiny) as engine:

            def fails(*_):
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

            engine._core.runner.encoder.encode = fails
            clips = [ClipAudio.from_samples(sound(3)) for _ in range(3)]
            first = await asyncio.gather(*map(engine.encode, clips), return_exceptions=True)
            late = await asyncio.gather(engine.encode(clips[0]), return_exceptions=True)
            return engine.is_broken, first, late

    is_broken, first, late = asyncio.run(scenario())
    assert is_broken
    assert "illegal memory access" in str(first[0])
    for error in (*first[1:], *late):
        assert isinstance(error, InternalError)


def test_an_engine_without_progress_is_stalled(tiny):
    stuck = threading.Event()

    async def scenario():
        async with running(tiny) as engine:
            engine._core.runner.forward = lambda *_: stuck.wait()
            waiting = asyncio.ensure_future(steps(engine, text(tiny)))
            # The clock is the wall's: there is nothing to wait for but time itself.
            await asyncio.to_thread(stuck.wait, 0.2)
            stalled_s = engine.stalled_s
            stuck.set()
            await asyncio.gather(waiting, return_exceptions=True)
            return stalled_s

    assert asyncio.run(scenario()) > 0.05


def test_an_idle_device_that_is_lost_breaks_the_engine_before_the_next_request(tiny):
    is_lost, num_probes = threading.Event(), 0

    def probe():
        nonlocal num_probes
        num_probes += 1
        if num_probes == 3:
            is_lost.set()
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    async def scenario():
        async with running(tiny, probe) as engine:
            answered = len(await steps(engine, text(tiny)))
            await asyncio.to_thread(is_lost.wait, 10)
            await tokens_used(engine)  # a command is run behind the iteration
            with pytest.raises(InternalError, match="the engine has failed"):
                await steps(engine, text(tiny))
            return answered, str(engine.failure)

    answered, failure = asyncio.run(scenario())
    assert answered == 4
    assert "illegal memory access" in failure
    assert num_probes == 3, "a broken engine asks no more"


def test_an_idle_device_that_does_not_answer_is_a_stall(tiny):
    is_asked, answer = threading.Event(), threading.Event()

    def probe():
        is_asked.set()
        answer.wait(PATIENCE_S)

    async def scenario():
        async with running(tiny, probe) as engine:
            await asyncio.to_thread(is_asked.wait, PATIENCE_S)
            stalled_s = engine.stalled_s
            answer.set()
            return stalled_s

    assert asyncio.run(scenario()) > 0


def test_an_idle_engine_is_not_stalled(tiny):
    async def scenario():
        async with running(tiny) as engine:
            await steps(engine, text(tiny))
            return engine.stalled_s

    assert asyncio.run(scenario()) == 0
