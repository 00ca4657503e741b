"""The engine's thread behind its asyncio interface."""

import asyncio
import contextlib
import threading

import numpy as np
import pytest
from engine.options import engine_options

from flamingo_common.errors import ContextTooLong, InternalError
from flamingo_pod.engine.audio import ClipAudio
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.sequence import SamplingParams
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn


@contextlib.asynccontextmanager
async def running(checkpoint, **options):
    engine = Engine(checkpoint, engine_options(**options))
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


def test_leaving_the_iterator_frees_the_memory_within_a_step(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = SamplingParams(max_tokens=5000)
            async with contextlib.aclosing(engine.generate(text(tiny), asked)) as stream:
                await anext(stream)
                before = await tokens_used(engine)
            return before, await tokens_used(engine)

    before, after = asyncio.run(scenario())
    assert before > 5000
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

    with pytest.raises(ContextTooLong, match=r"tokens of KV cache; this pod has 300"):
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
                left.wait(10)
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


def test_a_clip_with_encoder_states_is_not_encoded_again(tiny):
    async def scenario():
        async with running(tiny, encoder_cache_bytes=0) as engine:
            audio = ClipAudio.from_samples(sound(3))
            ids = prompt.token_ids(tiny.processor, [Turn("user", "Hi", True)], audio.num_tokens)
            await steps(engine, Prompt(ids, audio), 1)
            await engine.encode(audio)
            await engine.project(audio)
            return engine.profile.num_windows

    assert asyncio.run(scenario()) == 1


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


def test_an_idle_engine_is_not_stalled(tiny):
    async def scenario():
        async with running(tiny) as engine:
            await steps(engine, text(tiny))
            return engine.stalled_s

    assert asyncio.run(scenario()) == 0
