"""The engine's tokens against transformers' own `generate`, one for one."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from transformers import AudioFlamingo3Config, AudioFlamingo3ForConditionalGeneration

from flamingo.audio import windows
from flamingo_pod import prompt
from flamingo_pod.engine import engine
from flamingo_pod.engine.audio import Audio
from flamingo_pod.engine.engine import Core, Options, Prompt
from flamingo_pod.engine.sequence import SamplingParams
from flamingo_pod.prompt import Turn

QUESTION = "What is the tempo of this song?"


def sound(seconds, seed=0, extra=0):
    num_samples = int(seconds * windows.SAMPLE_RATE_HZ) + extra
    return np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32) * 0.1


class Ask:
    """One question, what the engine says, and what transformers says."""

    def __init__(self, checkpoint, samples, *, num_tokens=24, question=QUESTION, audio=None):
        self.checkpoint, self.samples, self.question = checkpoint, samples, question
        self.audio = audio or (None if samples is None else Audio.of(samples))
        turn = Turn("user", question, has_audio=samples is not None)
        num_audio = self.audio.num_tokens if self.audio else 0
        self.ids = prompt.token_ids(checkpoint.processor, [turn], num_audio)
        self.params = SamplingParams(max_tokens=num_tokens)
        self.steps = []

    def submit(self, core):
        self.sequence = core.submit(Prompt(self.ids, self.audio), self.params, 0, self.steps.append)
        return self

    @property
    def said(self):
        return [step.token_id for step in self.steps if step.token_id is not None]

    def expected(self):
        parts = [{"type": "text", "text": self.question}]
        if self.samples is not None:
            parts.insert(0, {"type": "audio"})
        processor = self.checkpoint.processor
        text = processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
        )
        # The processor fails on a tail without a token; the engine leaves it out.
        heard = None
        if self.samples is not None:
            stop = windows.spans(len(self.samples))[-1][1]
            heard = [self.samples[:stop]]
        inputs = processor(text=[text], audio=heard)
        assert inputs.input_ids[0].tolist() == self.ids
        return tokens_of_generate(self.checkpoint, inputs, self.params.max_tokens)


def tokens_of_generate(checkpoint, inputs, num_tokens):
    with torch.inference_mode():
        ids = checkpoint.model.generate(
            **inputs, use_cache=True, do_sample=False, max_new_tokens=num_tokens
        )
    said = ids[0, inputs["input_ids"].shape[1] :].tolist()
    eos = checkpoint.limits.eos_token_ids
    return [token for token in said if token not in eos]


def core_of(checkpoint, **options):
    return Core(checkpoint, Options(**({"num_kv_tokens": 8192} | options)))


def drain(core):
    while core.has_work():
        core.step()


@pytest.fixture(params=[False, True], ids=["lean", "reference"])
def is_reference(request):
    return request.param


CLIPS_S = (None, 0.5, 3, 10, 31, 45.5)


def test_mixed_lengths_together_say_what_each_says_alone(tiny, is_reference):
    core = core_of(tiny, is_reference=is_reference)
    asks = [
        Ask(tiny, None if seconds is None else sound(seconds, seed), num_tokens=8 + 5 * seed)
        for seed, seconds in enumerate(CLIPS_S)
    ]
    for ask in asks:
        ask.submit(core)
    drain(core)
    for ask in asks:
        assert ask.said == ask.expected()


@pytest.mark.parametrize("budget", [1, 2, 7, 33, 500])
def test_every_budget_from_one_token_up_says_the_same(tiny, is_reference, budget):
    core = core_of(tiny, is_reference=is_reference)
    core.scheduler.budget.max_tokens = core.scheduler.budget.min_tokens = budget
    asks = [Ask(tiny, sound(seconds, seed)) for seed, seconds in enumerate((1, 2.5))]
    for ask in [ask.submit(core) for ask in asks]:
        drain(core)
        assert ask.said == ask.expected()


def test_staggered_arrivals_join_the_batch_at_any_step(tiny, is_reference):
    core = core_of(tiny, is_reference=is_reference)
    asks = [Ask(tiny, sound(2 + seed, seed), num_tokens=30) for seed in range(5)]
    for ask in asks:
        ask.submit(core)
        for _ in range(4):
            core.step()
    drain(core)
    for ask in asks:
        assert ask.said == ask.expected()


@pytest.mark.parametrize("tail", [1, 160, 320, 321])
def test_a_last_window_of_a_few_samples(tiny, tail):
    core = core_of(tiny)
    ask = Ask(tiny, sound(30, extra=tail)).submit(core)
    drain(core)
    assert ask.said == ask.expected()


def test_twenty_minutes(tiny):
    core = core_of(tiny, num_kv_tokens=32_000)
    ask = Ask(tiny, sound(1200), num_tokens=6).submit(core)
    drain(core)
    assert len(ask.ids) > 30_000
    assert ask.said == ask.expected()


def test_another_question_about_a_clip_reads_only_what_differs(tiny, is_reference):
    core = core_of(tiny, is_reference=is_reference)
    samples = sound(35)
    first = Ask(tiny, samples).submit(core)
    drain(core)
    computed = core.profile.num_prefilled
    second = Ask(tiny, samples, question="What key is it in?").submit(core)
    drain(core)
    assert first.said == first.expected()
    assert second.said == second.expected()
    assert core.profile.num_prefilled - computed < 0.03 * len(second.ids)
    assert core.profile.num_windows == 2, "and nothing is encoded again"
    assert second.steps[0].num_reused > 0.97 * len(second.ids)


def test_the_same_question_again_computes_one_token(tiny):
    core = core_of(tiny)
    samples = sound(5)
    first = Ask(tiny, samples).submit(core)
    drain(core)
    computed = core.profile.num_prefilled
    again = Ask(tiny, samples).submit(core)
    drain(core)
    assert again.said == first.said == first.expected()
    assert core.profile.num_prefilled - computed == 1


def test_a_chat_that_goes_on_continues_its_history(tiny, is_reference):
    core = core_of(tiny, is_reference=is_reference)
    samples = sound(4)
    first = Ask(tiny, samples).submit(core)
    drain(core)
    said = tiny.processor.tokenizer.decode(first.said)
    turns = [
        Turn("user", QUESTION, has_audio=True),
        Turn("assistant", said),
        Turn("user", "Sure?"),
    ]
    follow_up = Ask(tiny, samples)
    follow_up.ids = prompt.token_ids(tiny.processor, turns, follow_up.audio.num_tokens)
    follow_up.submit(core)
    drain(core)
    fresh = core_of(tiny, is_reference=is_reference)
    anew = Ask(tiny, samples)
    anew.ids = follow_up.ids
    anew.submit(fresh)
    drain(fresh)
    assert follow_up.said == anew.said
    before = first.ids + first.said
    pairs = zip(follow_up.ids, before, strict=False)
    num_same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
    # The last word of an answer is said, and never read.
    assert follow_up.steps[0].num_reused == min(num_same, len(before) - 1) > len(first.ids)


def test_questions_that_come_together_share_one_reading_of_the_clip(tiny):
    core = core_of(tiny)
    samples = sound(40)
    asks = [Ask(tiny, samples, question=f"Question {number}?") for number in range(4)]
    for ask in asks:
        ask.submit(core)
    drain(core)
    for ask in asks:
        assert ask.said == ask.expected()
    assert core.profile.num_windows == 2
    assert core.profile.num_prefilled < 1.2 * len(asks[0].ids)


def test_another_salt_shares_nothing(tiny):
    core = core_of(tiny)
    samples = sound(5)
    Ask(tiny, samples).submit(core)
    drain(core)
    other = Ask(tiny, samples, audio=Audio.of(samples, b"other"))
    steps = []
    core.submit(Prompt(other.ids, other.audio, b"other"), other.params, 0, steps.append)
    drain(core)
    assert [step.token_id for step in steps] == other.expected()
    assert steps[0].num_reused == 0
    assert core.profile.num_windows == 2


def test_a_sequence_put_back_says_the_same_words(tiny, is_reference):
    one = Ask(tiny, sound(10), num_tokens=40)
    core = core_of(tiny, is_reference=is_reference, num_kv_tokens=len(one.ids) + 100)
    core.scheduler.limits = dataclasses.replace(core.scheduler.limits, preempt_after_s=0.0)
    young = Ask(tiny, sound(9, 1), num_tokens=40)
    young.submit(core)
    # The older by number comes later, as one does that has been put back itself.
    young.sequence.number += 10
    for _ in range(8):
        core.step()
    assert young.said
    one.submit(core)
    drain(core)
    assert young.sequence.num_preempted == 1
    assert one.said == one.expected()
    assert young.said == young.expected()


@pytest.mark.parametrize("after", [0, 1, 3, 10])
def test_a_cancelled_neighbour_changes_nothing_and_leaves_nothing(tiny, after):
    core = core_of(tiny)
    stays = Ask(tiny, sound(20), num_tokens=30).submit(core)
    leaves = Ask(tiny, sound(25, 1), num_tokens=30).submit(core)
    for _ in range(after):
        core.step()
    core.cancel(leaves.sequence)
    drain(core)
    assert stays.said == stays.expected()
    assert core.scheduler.memory.num_reserved == 0
    assert core.runner._rows == {}


def test_a_neighbour_that_is_cancelled_while_it_reads_for_both_hands_the_clip_over(tiny):
    core = core_of(tiny)
    core.scheduler.budget.max_tokens = 50
    samples = sound(20)
    reader = Ask(tiny, samples).submit(core)
    waiter = Ask(tiny, samples, question="And the key?").submit(core)
    for _ in range(4):
        core.step()
    core.cancel(reader.sequence)
    drain(core)
    assert waiter.said == waiter.expected()


def test_more_than_fits_at_once_is_answered_in_turn(tiny):
    asks = [Ask(tiny, sound(20, seed), num_tokens=8) for seed in range(6)]
    core = core_of(tiny, num_kv_tokens=2 * (len(asks[0].ids) + 8) + 10)
    for ask in asks:
        ask.submit(core)
    drain(core)
    for ask in asks:
        assert ask.said == ask.expected()


def test_a_seeded_sample_is_the_same_alone_and_in_a_crowd(tiny):
    params = SamplingParams(max_tokens=20, temperature=1.0, top_p=0.9, seed=7)

    def said(crowd):
        core = core_of(tiny)
        for seed in range(crowd):
            Ask(tiny, sound(1 + seed, seed), num_tokens=30).submit(core)
        steps = []
        ask = Ask(tiny, sound(6, 99))
        core.submit(Prompt(ask.ids, ask.audio), params, 7, steps.append)
        drain(core)
        return [step.token_id for step in steps]

    assert said(0) == said(5)


def test_lean_and_reference_give_the_same_logits(tiny):
    hidden = []
    for is_reference in (False, True):
        core = core_of(tiny, is_reference=is_reference)
        forward = core.runner.forward
        core.runner.forward = lambda *args, kept=forward: hidden.append(kept(*args)) or hidden[-1]
        Ask(tiny, sound(12), num_tokens=3).submit(core)
        drain(core)
    half = len(hidden) // 2
    assert half >= 3
    for lean, reference in zip(hidden[:half], hidden[half:], strict=True):
        assert (lean - reference).abs().max() < 1e-4


def test_fused_weights_are_the_modules_own(tiny):
    core = core_of(tiny)
    attention = tiny.model.model.language_model.layers[0].self_attn
    fused = core.runner.forward._layers[0].qkv[0]
    assert attention.q_proj.weight.data_ptr() == fused.data_ptr()
    assert attention.v_proj.weight.untyped_storage().data_ptr() == fused.data_ptr()


def test_a_clip_is_read_while_its_end_is_still_being_encoded(tiny):
    core = core_of(tiny)
    core.scheduler.limits = dataclasses.replace(core.scheduler.limits, max_windows=1)
    core.scheduler.budget.max_tokens = 400
    Ask(tiny, sound(120)).submit(core)
    plans = []
    while core.has_work():
        plans.append(core.scheduler.plan(0.0))
        core._commit(plans[-1], core._run(plans[-1]), 0.0)
    last_window = max(number for number, plan in enumerate(plans) if plan.windows)
    assert sum(plan.num_prefilled for plan in plans[:last_window]) > 500


def test_logits_that_are_not_finite_end_their_own_sequence_only(tiny):
    core = core_of(tiny)
    good = Ask(tiny, sound(2)).submit(core)
    bad = Ask(tiny, sound(3, 1))
    bad.audio.windows[0].states = torch.full((75, 64), float("nan"))
    bad.submit(core)
    drain(core)
    assert good.said == good.expected()
    assert isinstance(bad.steps[-1], engine.Poison)
    assert core.scheduler.memory.num_reserved == 0


def test_a_fault_in_one_sequence_is_its_own(tiny):
    core = core_of(tiny)
    good = Ask(tiny, sound(2)).submit(core)
    bad = Ask(tiny, sound(3, 1))
    bad.audio.windows[0].states = torch.zeros(7, 64)  # not as many rows as it has slots
    bad.submit(core)
    drain(core)
    assert good.said == good.expected()
    assert isinstance(bad.steps[-1], engine.Poison)


def test_an_engine_that_fails_whatever_it_is_given_says_so(tiny):
    core = core_of(tiny)

    def fails(*_):
        raise RuntimeError("out of memory")

    core.runner.forward = fails
    Ask(tiny, sound(1)).submit(core)
    asks = [Ask(tiny, None).submit(core) for _ in range(2)]

    def goes_on():
        while True:
            asks.append(Ask(tiny, None).submit(core))
            core.step()

    with pytest.raises(engine.Broken):
        goes_on()
    core.fail_all(engine.Broken())
    assert all(isinstance(ask.steps[-1], Exception) for ask in asks)


def test_an_audio_flamingo_3_checkpoint_runs_too(tiny):
    config = AudioFlamingo3Config(
        audio_config=tiny.model.config.audio_config.to_dict(),
        text_config=tiny.model.config.text_config.to_dict(),
        audio_token_id=tiny.model.config.audio_token_id,
    )
    model = AudioFlamingo3ForConditionalGeneration(config).eval()
    model.load_state_dict(tiny.model.state_dict())
    model.generation_config = tiny.model.generation_config
    checkpoint = dataclasses.replace(tiny, model=model)
    core = core_of(checkpoint)
    ask = Ask(checkpoint, sound(40)).submit(core)
    drain(core)
    processor = tiny.processor
    inputs = processor(
        text=[
            processor.tokenizer.decode(ask.ids)
            .replace("<sound>" * ask.audio.num_tokens, "<sound>")
            .replace("<|sound_bos|>", "")
            .replace("<|sound_eos|>", "")
        ],
        audio=[ask.samples],
    )
    assert inputs.input_ids[0].tolist() == ask.ids
    assert ask.said == tokens_of_generate(checkpoint, inputs, 24)
