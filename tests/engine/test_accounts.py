"""What the engine writes into the accounts of those it works for."""

import asyncio
import contextlib

import numpy as np
import pytest

from flamingo_pod.engine.audio import Audio
from flamingo_pod.engine.core import Core, Options, Prompt
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.request_stats import Account
from flamingo_pod.engine.sequence import SamplingParams
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn


def clip(seconds, seed=0):
    samples = np.random.default_rng(seed).standard_normal(seconds * 16_000) * 0.1
    return Audio.of(samples.astype(np.float32))


def asking(checkpoint, audio, account, words="What key?"):
    ids = prompt.token_ids(checkpoint.processor, [Turn("user", words, True)], audio.num_tokens)
    account.num_windows_left, account.num_prompt_left = len(audio.windows), len(ids)
    account.num_output_left += 4
    return Prompt(ids, audio, account=account)


@pytest.fixture
def core(tiny):
    return Core(tiny, Options(num_kv_tokens=8192))


def drain(core):
    while core.has_work():
        core.step()


def answered(core, audio, name="", words="What key?"):
    """Return the account of a question that has been answered."""
    account = Account(clip=name)
    asked = asking(core.checkpoint, audio, account, words)
    core.submit(asked, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    return account


def test_a_finished_request_has_taken_its_windows_and_tokens_and_has_nothing_left(core):
    account = answered(core, clip(61))
    assert (account.num_windows, account.num_output) == (3, 4)
    assert account.num_windows_left == account.num_prompt_left == account.num_output_left == 0
    assert account.submitted_s <= account.started_s < account.first_token_s < account.last_token_s
    assert account.compute_s <= account.last_token_s - account.started_s


def test_a_clip_that_is_known_is_not_in_the_backlog_and_not_in_the_windows(core):
    answered(core, clip(61))
    account = Account()
    asked = asking(core.checkpoint, clip(61), account, "What tempo?")
    core.submit(asked, SamplingParams(max_tokens=4), 0, lambda _: None)
    assert account.num_windows_left == 0
    assert 0 < account.num_prompt_left < 100
    drain(core)
    assert account.num_windows == 0


def test_of_two_who_come_with_one_clip_one_computes_it(core):
    audio, accounts = clip(31), [Account(), Account()]
    for account in accounts:
        asked = asking(core.checkpoint, audio, account, f"Question {id(account)}")
        core.submit(asked, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    assert sorted(account.num_windows for account in accounts) == [0, 2]


def test_two_choices_are_written_into_one_account(core):
    account = Account(num_choices=2)
    audio = clip(2)
    for _ in range(2):
        asked = asking(core.checkpoint, audio, account)
        core.submit(asked, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    assert (account.num_windows, account.num_output, account.num_output_left) == (1, 8, 0)


def test_one_that_is_left_expects_no_more_tokens(core):
    account = Account()
    asked = asking(core.checkpoint, clip(2), account)
    sequence = core.submit(asked, SamplingParams(max_tokens=4), 0, lambda _: None)
    while account.first_token_s is None:
        core.step()
    core.cancel(sequence)
    assert account.num_output_left == 0


def test_all_the_time_of_the_steps_is_somebodys(core):
    audios = [clip(20, seed) for seed in range(3)]
    accounts = [Account() for _ in audios]
    for audio, account in zip(audios, accounts, strict=True):
        asked = asking(core.checkpoint, audio, account)
        core.submit(asked, SamplingParams(max_tokens=4), 0, lambda _: None)
    drain(core)
    stages = core.profile.stages
    assert sum(account.compute_s for account in accounts) >= sum(stages.values())


def test_a_named_clip_is_told_until_its_states_and_its_kv_are_gone(tiny):
    core = Core(tiny, Options(num_kv_tokens=1200, max_cache_bytes=800_000))
    assert core.clips.names() == []
    answered(core, clip(20, seed=1), "first")
    assert core.clips.names() == ["first"]
    answered(core, clip(20, seed=2), "second")
    assert core.clips.names() == ["first", "second"]
    for seed in range(3, 9):
        answered(core, clip(20, seed))
    assert core.clips.names() == []


def test_an_embedding_has_an_account_and_a_name_too(tiny):
    async def scenario():
        engine = Engine(tiny, Options(num_kv_tokens=1024))
        with contextlib.ExitStack() as stack:
            engine.start()
            stack.callback(engine.stop)
            first, again = Account(clip="song"), Account(clip="song")
            await engine.encode(clip(61), first)
            await engine.encode(clip(61), again)
            return first, again, engine.clips()

    first, again, names = asyncio.run(scenario())
    assert (first.num_windows, again.num_windows) == (3, 0)
    assert (first.num_windows_left, again.num_windows_left) == (0, 0)
    assert 0 < again.compute_s < first.compute_s
    assert names == ["song"]
