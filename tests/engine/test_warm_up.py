"""The warm-up runs what users' requests will run, and its times are forgotten."""

import asyncio
import contextlib

import pytest
from engine.options import engine_options

from flamingo_pod.engine.core import EngineCore
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.startup import trial_prompts, warm_up
from flamingo_pod.engine.startup.trial_prompts import TrialPrompts


@contextlib.contextmanager
def running(checkpoint, **options):
    engine = Engine(checkpoint, engine_options(**options))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def ran(checkpoint, sizes, **options):
    """Return the engine's profile after a pass of the warm-up."""
    with running(checkpoint, **options) as engine:
        asyncio.run(warm_up._run(engine, TrialPrompts(checkpoint, b""), sizes))
        return engine.profile


@pytest.mark.parametrize("model_impl", ["fused", "transformers"])
def test_the_sizes_for_a_gpu_run_a_full_window_and_a_full_chunk(tiny, model_impl):
    profile = ran(tiny, warm_up.GPU, model_impl=model_impl)
    assert profile.num_windows == 1
    short = warm_up.GPU.num_rows * trial_prompts.SHORT_TEXT_TOKENS
    assert profile.num_prefilled == 750 + 1 + 2048 + short
    assert profile.num_cached_tokens == 0


def test_all_ways_of_sampling_are_in_one_batch(tiny):
    core, outputs = EngineCore(tiny, engine_options()), []
    requests = list(TrialPrompts(tiny, b"").rows(warm_up.CPU.num_rows))
    for prompt, params in requests:
        core.submit(prompt, params, 0, outputs.append)
    while core.has_work():
        core.step()
    assert [params for _, params in requests] == list(trial_prompts.WAYS_OF_SAMPLING)
    assert core.profile.num_steps == trial_prompts.SAMPLED_TOKENS
    assert len(outputs) == trial_prompts.SAMPLED_TOKENS * len(requests)
    assert any(len(output.top_logprobs) == 20 for output in outputs)


def test_a_warm_up_fits_into_the_smallest_pool(tiny):
    profile = ran(tiny, warm_up.GPU, kv_cache_tokens=256)
    assert profile.num_windows == 1


def test_prompts_of_another_salt_are_computed_again(tiny):
    with running(tiny) as engine:

        async def scenario():
            counts = []
            for salt in (b"a", b"a", b"b"):
                before = engine.profile.num_prefilled
                await warm_up._run(engine, TrialPrompts(tiny, salt), warm_up.CPU)
                counts.append(engine.profile.num_prefilled - before)
            return counts

        first, again, other = asyncio.run(scenario())
        assert again < first == other


def test_measurements_can_be_forgotten(tiny):
    with running(tiny) as engine:

        async def scenario():
            await warm_up.warm_up(engine, tiny)
            measured = engine.profile.prefill_s, engine.load.window_s
            await engine.reset_measurements()
            return measured

        measured = asyncio.run(scenario())
        assert None not in measured
        assert min(measured) > 0
        assert engine.profile.prefill_s == engine.profile.num_steps == 0
        assert engine.load.window_s is None
