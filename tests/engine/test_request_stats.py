"""What the engine writes into the all_stats of those it works for."""

import asyncio
import contextlib

import numpy as np
import pytest
from engine.options import engine_options

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn


def clip(seconds, seed=0):
    samples = np.random.default_rng(seed).standard_normal(seconds * 16_000) * 0.1
    return ClipAudio.from_samples(samples.astype(np.float32))


def prompt_about(checkpoint, audio, stats, words="What key?"):
    ids = prompt.token_ids(checkpoint.processor, [Turn("user", words, True)], audio.num_tokens)
    stats.num_windows_left, stats.num_prompt_tokens_left = len(audio.windows), len(ids)
    stats.num_output_tokens_left += 4
    return Prompt(ids, audio, stats=stats)


@pytest.fixture
def core(tiny):
    return EngineCore(tiny, engine_options())


def drain(core):
    while core.has_work():
        core.step()


def answered(core, audio, name="", words="What key?"):
    """Return the stats of a question that has been answered."""
    stats = RequestStats(clip_name=name)
    request = prompt_about(core.checkpoint, audio, stats, words)
    core.submit(request, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    return stats


def test_a_finished_request_has_counted_its_work_and_has_none_left(core):
    stats = answered(core, clip(61))
    assert (stats.num_windows_computed, stats.num_output_tokens) == (3, 4)
    assert (
        stats.num_windows_left == stats.num_prompt_tokens_left == stats.num_output_tokens_left == 0
    )
    assert stats.submitted_s <= stats.started_s < stats.first_token_s < stats.last_token_s
    assert stats.compute_s <= stats.last_token_s - stats.started_s


def test_a_cached_clip_is_in_neither_the_backlog_nor_the_windows(core):
    answered(core, clip(61))
    stats = RequestStats()
    request = prompt_about(core.checkpoint, clip(61), stats, "What tempo?")
    core.submit(request, SamplingParams(max_tokens=4), 0, lambda _: None)
    assert stats.num_windows_left == 0
    assert 0 < stats.num_prompt_tokens_left < 100
    drain(core)
    assert stats.num_windows_computed == 0


def test_of_two_requests_about_one_clip_one_computes_it(core):
    audio, all_stats = clip(31), [RequestStats(), RequestStats()]
    for stats in all_stats:
        request = prompt_about(core.checkpoint, audio, stats, f"Question {id(stats)}")
        core.submit(request, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    assert sorted(stats.num_windows_computed for stats in all_stats) == [0, 2]


def test_two_choices_share_one_stats(core):
    stats = RequestStats(num_choices=2)
    audio = clip(2)
    for _ in range(2):
        request = prompt_about(core.checkpoint, audio, stats)
        core.submit(request, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    assert (stats.num_windows_computed, stats.num_output_tokens, stats.num_output_tokens_left) == (
        1,
        8,
        0,
    )


def test_a_cancelled_request_expects_no_more_tokens(core):
    stats = RequestStats()
    request = prompt_about(core.checkpoint, clip(2), stats)
    sequence = core.submit(request, SamplingParams(max_tokens=4), 0, lambda _: None)
    while stats.first_token_s is None:
        core.step()
    core.cancel(sequence)
    assert stats.num_output_tokens_left == 0


def test_all_time_of_the_steps_is_attributed_to_requests(core):
    audios = [clip(20, seed) for seed in range(3)]
    all_stats = [RequestStats() for _ in audios]
    for audio, stats in zip(audios, all_stats, strict=True):
        request = prompt_about(core.checkpoint, audio, stats)
        core.submit(request, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    stages = core.profile.stages
    assert sum(stats.compute_s for stats in all_stats) >= sum(stages.values())


def test_a_named_clip_is_reported_until_its_states_and_kv_are_evicted(tiny):
    core = EngineCore(tiny, engine_options(kv_cache_tokens=1200, encoder_cache_bytes=800_000))
    assert core.clips.names() == []
    answered(core, clip(20, seed=1), "first")
    assert core.clips.names() == ["first"]
    answered(core, clip(20, seed=2), "second")
    assert core.clips.names() == ["first", "second"]
    for seed in range(3, 100):  # what took long to compute stays longer
        answered(core, clip(20, seed))
        if not core.clips.names():
            break
    assert core.clips.names() == []


def test_an_embedding_has_stats_and_a_clip_name_too(tiny):
    async def scenario():
        engine = Engine(tiny, engine_options(kv_cache_tokens=1024))
        with contextlib.ExitStack() as stack:
            engine.start()
            stack.callback(engine.stop)
            first, again = RequestStats(clip_name="song"), RequestStats(clip_name="song")
            await engine.encode(clip(61), first)
            await engine.encode(clip(61), again)
            return first, again, engine.cached_clips()

    first, again, names = asyncio.run(scenario())
    assert (first.num_windows_computed, again.num_windows_computed) == (3, 0)
    assert (first.num_windows_left, again.num_windows_left) == (0, 0)
    assert 0 < again.compute_s < first.compute_s
    assert names == ["song"]
