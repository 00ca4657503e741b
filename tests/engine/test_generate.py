"""The engine's tokens against transformers' own `generate`, one for one."""

import asyncio
import contextlib

import numpy as np
import pytest
import torch

from flamingo.audio import windows
from flamingo.errors import InternalError
from flamingo_pod import prompt
from flamingo_pod.engine import generate
from flamingo_pod.engine.bridge import Engine, Prompt
from flamingo_pod.engine.sequence import SamplingParams
from flamingo_pod.prompt import Turn

QUESTION = "What is the tempo of this song?"


def sound(seconds, seed=0):
    num_samples = int(seconds * windows.SAMPLE_RATE_HZ)
    return np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32) * 0.1


def with_transformers(checkpoint, samples, num_tokens):
    """Return the tokens of processor → generate, as the model's documentation has it."""
    parts = [{"type": "text", "text": QUESTION}]
    if samples is not None:
        parts.insert(0, {"type": "audio"})
    processor = checkpoint.processor
    text = processor.apply_chat_template(
        [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
    )
    inputs = processor(text=[text], audio=None if samples is None else [samples])
    with torch.inference_mode():
        ids = checkpoint.model.generate(
            **inputs, use_cache=True, do_sample=False, max_new_tokens=num_tokens
        )
    return inputs.input_ids[0].tolist(), ids[0, inputs.input_ids.shape[1] :].tolist()


@contextlib.asynccontextmanager
async def running(checkpoint):
    engine = Engine(checkpoint)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


async def tokens(engine, prompt_, params):
    return [step async for step in engine.submit(prompt_, params)]


async def heard(engine, checkpoint, samples):
    audio = None if samples is None else await engine.encode(samples)
    turn = Turn("user", QUESTION, has_audio=audio is not None)
    ids = prompt.token_ids(checkpoint.processor, [turn], audio.total_tokens if audio else 0)
    return Prompt(ids, audio)


@pytest.mark.parametrize("seconds", [None, 0.5, 10, 45.5], ids=["text", "0.5", "10", "45.5"])
def test_greedy_tokens_equal_those_of_generate(tiny, seconds):
    samples = None if seconds is None else sound(seconds)

    async def scenario():
        async with running(tiny) as engine:
            asked = await heard(engine, tiny, samples)
            return asked, await tokens(engine, asked, SamplingParams(max_tokens=24))

    asked, steps = asyncio.run(scenario())
    expected_prompt, expected = with_transformers(tiny, samples, 24)
    assert list(asked.token_ids) == expected_prompt
    assert [step.token_id for step in steps] == expected
    assert [step.finish_reason for step in steps] == [None] * 23 + ["length"]


def test_the_prompt_is_read_once(tiny):
    lengths = []
    handle = tiny.model.model.language_model.register_forward_pre_hook(
        lambda _, __, kwargs: lengths.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )

    async def scenario():
        async with running(tiny) as engine:
            asked = await heard(engine, tiny, sound(1))
            await tokens(engine, asked, SamplingParams(max_tokens=5))
            return len(asked.token_ids)

    try:
        num_prompt = asyncio.run(scenario())
    finally:
        handle.remove()
    assert lengths == [num_prompt, 1, 1, 1, 1]


def test_a_clip_is_encoded_once_for_two_questions(tiny):
    calls = []
    handle = tiny.model.model.audio_tower.register_forward_hook(lambda *_: calls.append(1))

    async def scenario():
        async with running(tiny) as engine:
            asked = await heard(engine, tiny, sound(2))
            one, two = SamplingParams(max_tokens=3), SamplingParams(max_tokens=6)
            return await tokens(engine, asked, one), await tokens(engine, asked, two)

    try:
        short, long = asyncio.run(scenario())
    finally:
        handle.remove()
    assert len(calls) == 1
    assert [step.token_id for step in short] == [step.token_id for step in long[:3]]


def test_a_seed_repeats_a_sample_and_another_seed_does_not(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = await heard(engine, tiny, None)
            seeds = (7, 7, 8)
            return [
                [
                    step.token_id
                    for step in await tokens(
                        engine, asked, SamplingParams(max_tokens=12, temperature=1.0, seed=seed)
                    )
                ]
                for seed in seeds
            ]

    first, again, other = asyncio.run(scenario())
    assert first == again != other


def test_a_token_cap_of_top_k_one_is_greedy(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = await heard(engine, tiny, None)
            greedy = await tokens(engine, asked, SamplingParams(max_tokens=8))
            capped = SamplingParams(max_tokens=8, temperature=1.5, top_k=1)
            return greedy, await tokens(engine, asked, capped)

    greedy, capped = asyncio.run(scenario())
    assert greedy == capped


def test_end_of_sequence_is_a_stop_without_a_token(tiny):
    emitted = []
    each = generate._EachToken(lambda step: emitted.append(step) is not None, frozenset({2}), 9)
    assert not each(torch.tensor([[5]]), None).item()
    assert each(torch.tensor([[5, 2]]), None).item()
    assert [(step.token_id, step.finish_reason) for step in emitted] == [(5, None), (None, "stop")]


def test_leaving_the_iterator_stops_the_model_within_a_token(tiny):
    forwards = []
    handle = tiny.model.model.language_model.register_forward_hook(lambda *_: forwards.append(1))

    async def scenario():
        async with running(tiny) as engine:
            asked = await heard(engine, tiny, None)
            async with contextlib.aclosing(
                engine.submit(asked, SamplingParams(max_tokens=20_000))
            ) as steps:
                async for _ in steps:
                    break
            await tokens(engine, asked, SamplingParams(max_tokens=1))  # waits for the first to end

    try:
        asyncio.run(scenario())
    finally:
        handle.remove()
    assert len(forwards) < 1000


def test_a_fault_in_one_sequence_is_its_own(tiny):
    async def scenario():
        async with running(tiny) as engine:
            with pytest.raises(InternalError):
                await tokens(engine, Prompt([10**9]), SamplingParams(max_tokens=1))
            good = await heard(engine, tiny, None)
            return await tokens(engine, good, SamplingParams(max_tokens=2))

    assert len(asyncio.run(scenario())) == 2


def test_a_cancelled_encoding_that_had_not_begun_is_skipped(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = await heard(engine, tiny, None)
            busy = asyncio.ensure_future(tokens(engine, asked, SamplingParams(max_tokens=200)))
            waiting = asyncio.ensure_future(engine.encode(sound(30)))
            await asyncio.sleep(0)
            waiting.cancel()
            await busy
            return engine.load.encode_s

    assert asyncio.run(scenario()) is None
