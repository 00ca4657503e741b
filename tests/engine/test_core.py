"""The engine core's tokens against those of transformers' own `generate`, one for one."""

import asyncio
import contextlib
import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from engine.options import by_default, engine_options
from transformers import AudioFlamingo3Config, AudioFlamingo3ForConditionalGeneration

from flamingo_common.audio import windows
from flamingo_common.errors import BadRequest, ContextTooLong
from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.scheduling.growth import GrowthPolicy
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.steps.step_faults import EngineBroken, SequenceFailed
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn

QUESTION = "What is the tempo of this song?"


def sound(seconds, seed=0, extra=0):
    num_samples = int(seconds * windows.SAMPLE_RATE_HZ) + extra
    return np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32) * 0.1


class Case:
    """One prompt, the engine's output, and that of transformers."""

    def __init__(self, checkpoint, samples, *, num_tokens=24, question=QUESTION, audio=None):
        self.checkpoint, self.samples, self.question = checkpoint, samples, question
        self.audio = audio or (None if samples is None else ClipAudio.from_samples(samples))
        turn = Turn("user", question, has_audio=samples is not None)
        num_audio = self.audio.num_tokens if self.audio else 0
        self.ids = prompt.token_ids(checkpoint.processor, [turn], num_audio).tolist()
        self.params = SamplingParams(max_tokens=num_tokens)
        self.outputs = []

    def submit(self, core):
        self.sequence = core.submit(
            Prompt(self.ids, self.audio), self.params, 0, self.outputs.append
        )
        return self

    @property
    def tokens(self):
        return [step.token_id for step in self.outputs if step.token_id is not None]

    def expected(self):
        parts = [{"type": "text", "text": self.question}]
        if self.samples is not None:
            parts.insert(0, {"type": "audio"})
        processor = self.checkpoint.processor
        text = processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
        )
        # The processor fails on a tail without a token; the engine leaves it out.
        audio = None
        if self.samples is not None:
            stop = windows.spans(len(self.samples))[-1][1]
            audio = [self.samples[:stop]]
        inputs = processor(text=[text], audio=audio)
        assert inputs.input_ids[0].tolist() == self.ids
        return tokens_of_generate(self.checkpoint, inputs, self.params.max_tokens)


def tokens_of_generate(checkpoint, inputs, num_tokens):
    with torch.inference_mode():
        ids = checkpoint.model.generate(
            **inputs, use_cache=True, do_sample=False, max_new_tokens=num_tokens
        )
    generated = ids[0, inputs["input_ids"].shape[1] :].tolist()
    eos = checkpoint.limits.eos_token_ids
    return [token for token in generated if token not in eos]


def core_of(checkpoint, **options):
    return EngineCore(checkpoint, engine_options(**options))


def drain(core):
    while core.has_work():
        core.step()


@pytest.fixture(params=[False, True], ids=["synchronous", "asynchronous"], autouse=True)
def is_asynchronous(request):
    """Run every test with and without steps that are launched ahead."""
    with by_default(async_scheduling=request.param):
        yield request.param


@pytest.fixture(params=["fused", "transformers"])
def model_impl(request):
    return request.param


CLIPS_S = (None, 0.5, 3, 10, 31, 45.5)


def test_mixed_lengths_in_one_batch_equal_generate(tiny, model_impl):
    core = core_of(tiny, model_impl=model_impl)
    cases = [
        Case(tiny, None if seconds is None else sound(seconds, seed), num_tokens=8 + 5 * seed)
        for seed, seconds in enumerate(CLIPS_S)
    ]
    for case in cases:
        case.submit(core)
    drain(core)
    for case in cases:
        assert case.tokens == case.expected()


@pytest.mark.parametrize("budget", [1, 2, 7, 33, 500])
def test_every_token_budget_gives_the_same_tokens(tiny, model_impl, budget):
    core = core_of(tiny, model_impl=model_impl)
    core.scheduler.budget.max_tokens = core.scheduler.budget.min_tokens = budget
    cases = [Case(tiny, sound(seconds, seed)) for seed, seconds in enumerate((1, 2.5))]
    for case in [case.submit(core) for case in cases]:
        drain(core)
        assert case.tokens == case.expected()


def test_staggered_arrivals_join_the_batch_at_any_step(tiny, model_impl):
    core = core_of(tiny, model_impl=model_impl)
    cases = [Case(tiny, sound(2 + seed, seed), num_tokens=30) for seed in range(5)]
    for case in cases:
        case.submit(core)
        for _ in range(4):
            core.step()
    drain(core)
    for case in cases:
        assert case.tokens == case.expected()


@pytest.mark.parametrize("tail", [1, 160, 320, 321])
def test_a_last_window_of_a_few_samples(tiny, tail):
    core = core_of(tiny)
    case = Case(tiny, sound(30, extra=tail)).submit(core)
    drain(core)
    assert case.tokens == case.expected()


def test_twenty_minutes(tiny):
    core = core_of(tiny, kv_cache_tokens=32_000)
    case = Case(tiny, sound(1200), num_tokens=6).submit(core)
    drain(core)
    assert len(case.ids) > 30_000
    assert case.tokens == case.expected()


def test_another_question_about_a_clip_prefills_only_the_difference(tiny, model_impl):
    core = core_of(tiny, model_impl=model_impl)
    samples = sound(35)
    first = Case(tiny, samples).submit(core)
    drain(core)
    computed = core.profile.num_prefilled
    second = Case(tiny, samples, question="What key is it in?").submit(core)
    drain(core)
    assert first.tokens == first.expected()
    assert second.tokens == second.expected()
    assert core.profile.num_prefilled - computed < 0.03 * len(second.ids)
    assert core.profile.num_windows == 2, "and nothing is encoded again"
    assert second.outputs[0].num_cached_tokens > 0.97 * len(second.ids)


def test_the_same_question_again_computes_one_token(tiny):
    core = core_of(tiny)
    samples = sound(5)
    first = Case(tiny, samples).submit(core)
    drain(core)
    computed = core.profile.num_prefilled
    again = Case(tiny, samples).submit(core)
    drain(core)
    assert again.tokens == first.tokens == first.expected()
    assert core.profile.num_prefilled - computed == 1


def test_a_follow_up_in_a_chat_reuses_the_cached_tail(tiny, model_impl):
    core = core_of(tiny, model_impl=model_impl)
    samples = sound(4)
    first = Case(tiny, samples).submit(core)
    drain(core)
    said = tiny.processor.tokenizer.decode(first.tokens)
    turns = [
        Turn("user", QUESTION, has_audio=True),
        Turn("assistant", said),
        Turn("user", "Sure?"),
    ]
    follow_up = Case(tiny, samples)
    follow_up.ids = prompt.token_ids(tiny.processor, turns, follow_up.audio.num_tokens).tolist()
    follow_up.submit(core)
    drain(core)
    fresh = core_of(tiny, model_impl=model_impl)
    anew = Case(tiny, samples)
    anew.ids = follow_up.ids
    anew.submit(fresh)
    drain(fresh)
    assert follow_up.tokens == anew.tokens
    before = first.ids + first.tokens
    pairs = zip(follow_up.ids, before, strict=False)
    num_same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
    # The last word of an answer is said, and never read.
    assert follow_up.outputs[0].num_cached_tokens == min(num_same, len(before) - 1) > len(first.ids)


def test_simultaneous_questions_share_one_prefill_of_the_clip(tiny):
    core = core_of(tiny)
    samples = sound(40)
    cases = [Case(tiny, samples, question=f"Question {number}?") for number in range(4)]
    for case in cases:
        case.submit(core)
    drain(core)
    for case in cases:
        assert case.tokens == case.expected()
    assert core.profile.num_windows == 2
    assert core.profile.num_prefilled < 1.2 * len(cases[0].ids)


@pytest.mark.parametrize("first_seconds", [None, 4], ids=["a chat without a clip", "a clip"])
def test_the_text_before_a_clip_is_prefilled_once(tiny, model_impl, first_seconds):
    core = core_of(tiny, model_impl=model_impl)
    first = Case(tiny, None if first_seconds is None else sound(first_seconds)).submit(core)
    drain(core)
    computed = core.profile.num_prefilled
    second = Case(tiny, sound(7, 1), question="What key is it in?").submit(core)
    chat = Case(tiny, None, question="What is a key?").submit(core)
    drain(core)
    start = second.ids.index(tiny.model.config.audio_token_id)
    num_before = start - (0 if first_seconds else 1)  # the chat has no token that begins a clip
    assert start > 20, "else there is nothing to share"
    assert second.outputs[0].num_cached_tokens == num_before
    assert chat.outputs[0].num_cached_tokens >= start - 1
    for case in (first, second, chat):
        assert case.tokens == case.expected()
    num_new = len(second.ids) + len(chat.ids) - num_before - chat.outputs[0].num_cached_tokens
    assert core.profile.num_prefilled - computed == num_new


def test_another_salt_shares_nothing(tiny):
    core = core_of(tiny)
    samples = sound(5)
    Case(tiny, samples).submit(core)
    drain(core)
    other = Case(tiny, samples, audio=ClipAudio.from_samples(samples, b"other"))
    steps = []
    core.submit(Prompt(other.ids, other.audio, b"other"), other.params, 0, steps.append)
    drain(core)
    assert [step.token_id for step in steps] == other.expected()
    assert steps[0].num_cached_tokens == 0
    assert core.profile.num_windows == 2


def test_a_preempted_sequence_generates_the_same_tokens(tiny, model_impl):
    one = Case(tiny, sound(10), num_tokens=40)
    core = core_of(tiny, model_impl=model_impl, kv_cache_tokens=len(one.ids) + 100)
    core.scheduler.limits = dataclasses.replace(core.scheduler.limits, preempt_after_s=0.0)
    young = Case(tiny, sound(9, 1), num_tokens=40)
    young.submit(core)
    # The older by number comes later, as one does that has been put back itself.
    young.sequence.number += 10
    for _ in range(8):
        core.step()
    assert young.tokens
    one.submit(core)
    drain(core)
    assert young.sequence.num_preemptions == 1
    assert one.tokens == one.expected()
    assert young.tokens == young.expected()


def test_tails_that_grow_and_move_in_a_pool_that_is_too_small_change_no_token(tiny, model_impl):
    cases = [
        Case(tiny, None if seconds is None else sound(seconds, seed), num_tokens=30 + 5 * seed)
        for seed, seconds in enumerate((2, None, 3, 1, None, 4))
    ]
    lengths = [len(case.ids) + case.params.max_tokens for case in cases]
    core = core_of(tiny, model_impl=model_impl, kv_cache_tokens=sum(lengths) // 2)
    core.scheduler.growth = GrowthPolicy(prior_tokens=3, min_tokens=3, spare_share=0.0)
    copies, copy = [], core.runner.pool.copy
    core.runner.pool.copy = lambda planned: copies.extend(planned) or copy(planned)
    for case in cases:
        case.submit(core)
    drain(core)
    distances = [each.source - each.target for each in copies]
    assert any(0 < far < each.num_tokens for far, each in zip(distances, copies, strict=True))
    assert min(distances) < 0, "else nothing moved to a longer extent"
    assert core.scheduler.num_preemptions > 0
    for case in cases:
        assert case.tokens == case.expected()
    assert core.scheduler.kv_cache.num_tokens_used == 0


@pytest.mark.parametrize("after", [0, 1, 3, 10])
def test_cancelling_a_sequence_changes_no_other_and_leaks_nothing(tiny, after):
    core = core_of(tiny)
    stays = Case(tiny, sound(20), num_tokens=30).submit(core)
    leaves = Case(tiny, sound(25, 1), num_tokens=30).submit(core)
    for _ in range(after):
        core.step()
    core.cancel(leaves.sequence)
    drain(core)
    assert stays.tokens == stays.expected()
    assert core.scheduler.kv_cache.num_tokens_used == 0
    assert core.runner._audio_embeds == {}


def test_what_was_cached_is_known_from_the_first_admission(tiny):
    core = core_of(tiny)
    one, other = (Case(tiny, None, num_tokens=30).submit(core) for _ in range(2))
    while len(other.outputs) < 20:
        core.step()
    core.scheduler._preempt(one.sequence, 0.0)  # when it returns, it copies the other's output
    drain(core)
    assert one.tokens == other.tokens == one.expected()
    assert {output.num_cached_tokens for output in one.outputs} == {0}


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_the_embeddings_of_a_preempted_clip_are_freed(tiny, is_cancelled):
    core = core_of(tiny)
    core.scheduler.budget.max_tokens = 50
    clip = Case(tiny, sound(40)).submit(core)
    core.step()
    core.step()
    assert 0 < clip.sequence.num_computed < clip.sequence.num_prefix
    core.scheduler._preempt(clip.sequence, 0.0)
    if is_cancelled:  # before it has come back
        core.cancel(clip.sequence)
    else:
        drain(core)
        assert clip.tokens == clip.expected()
    assert core.runner._audio_embeds == {}


def test_another_sequence_takes_over_a_shared_prefill_that_is_cancelled(tiny):
    core = core_of(tiny)
    core.scheduler.budget.max_tokens = 50
    samples = sound(20)
    reader = Case(tiny, samples).submit(core)
    waiter = Case(tiny, samples, question="And the key?").submit(core)
    for _ in range(4):
        core.step()
    core.cancel(reader.sequence)
    drain(core)
    assert waiter.tokens == waiter.expected()


def test_sequences_wait_while_the_kv_pool_is_full(tiny):
    cases = [Case(tiny, sound(20, seed), num_tokens=8) for seed in range(6)]
    core = core_of(tiny, kv_cache_tokens=2 * (len(cases[0].ids) + 8) + 10)
    for case in cases:
        case.submit(core)
    drain(core)
    for case in cases:
        assert case.tokens == case.expected()


def test_a_seeded_sample_is_the_same_alone_and_in_a_batch(tiny):
    params = SamplingParams(max_tokens=20, temperature=1.0, top_p=0.9, seed=7)

    def said(crowd):
        core = core_of(tiny)
        for seed in range(crowd):
            Case(tiny, sound(1 + seed, seed), num_tokens=30).submit(core)
        steps = []
        case = Case(tiny, sound(6, 99))
        core.submit(Prompt(case.ids, case.audio), params, 7, steps.append)
        drain(core)
        return [step.token_id for step in steps]

    assert said(0) == said(5)


def test_fused_and_transformers_forwards_give_the_same_hidden_states(tiny):
    hidden = []
    for model_impl in ("fused", "transformers"):
        core = core_of(tiny, model_impl=model_impl)
        forward = core.runner.forward
        core.runner.forward = lambda *args, kept=forward: hidden.append(kept(*args)) or hidden[-1]
        Case(tiny, sound(12), num_tokens=3).submit(core)
        drain(core)
    half = len(hidden) // 2
    assert half >= 3
    for fused, reference in zip(hidden[:half], hidden[half:], strict=True):
        assert (fused - reference).abs().max() < 1e-4


def test_fused_weights_are_the_modules_own(tiny):
    core = core_of(tiny)
    attention = tiny.model.model.language_model.layers[0].self_attn
    fused = core.runner.forward._layers[0].qkv[0]
    assert attention.q_proj.weight.data_ptr() == fused.data_ptr()
    assert attention.v_proj.weight.untyped_storage().data_ptr() == fused.data_ptr()


def test_a_clip_is_prefilled_while_its_end_is_still_being_encoded(tiny):
    core = core_of(tiny)
    core.scheduler.limits = dataclasses.replace(core.scheduler.limits, max_windows_per_step=1)
    core.scheduler.budget.max_tokens = 400
    Case(tiny, sound(120)).submit(core)
    plans = []
    while core.has_work():
        plans.append(core.scheduler.schedule(0.0))
        core._commit(plans[-1], core._pipeline.run(plans[-1], core._inputs, may_repeat=False), 0.0)
    last_window = max(number for number, plan in enumerate(plans) if plan.windows)
    assert sum(plan.num_prefilled for plan in plans[:last_window]) > 500


def test_logits_that_are_not_finite_fail_their_own_sequence_only(tiny):
    core = core_of(tiny)
    good = Case(tiny, sound(2)).submit(core)
    bad = Case(tiny, sound(3, 1))
    bad.audio.windows[0].states = torch.full((75, 64), float("nan"))
    bad.submit(core)
    drain(core)
    assert good.tokens == good.expected()
    assert isinstance(bad.outputs[-1], SequenceFailed)
    assert core.scheduler.kv_cache.num_tokens_used == 0


def test_the_kv_of_a_failed_sequence_is_not_reused(tiny):
    core = core_of(tiny)
    samples = sound(3)
    bad = Case(tiny, samples)
    bad.audio.windows[0].states = torch.full((75, 64), float("nan"))
    bad.submit(core)
    drain(core)
    assert isinstance(bad.outputs[-1], SequenceFailed)
    core.runner.encoder.embeddings.__init__(0)  # the rows came of the bad states
    good = Case(tiny, samples).submit(core)
    drain(core)
    assert good.tokens == good.expected()
    assert core.scheduler.kv_cache.num_tokens_used == 0


def test_an_exception_fails_only_the_sequence_that_causes_it(tiny):
    core = core_of(tiny)
    good = Case(tiny, sound(2)).submit(core)
    bad = Case(tiny, sound(3, 1))
    bad.audio.windows[0].states = torch.zeros(7, 64)  # not as many rows as it has slots
    bad.submit(core)
    drain(core)
    assert good.tokens == good.expected()
    assert isinstance(bad.outputs[-1], SequenceFailed)


def test_an_engine_that_fails_on_every_sequence_is_broken(tiny):
    core = core_of(tiny)

    def fails(*_):
        raise RuntimeError("out of memory")

    core.runner.forward = fails
    Case(tiny, sound(1)).submit(core)
    cases = [Case(tiny, None).submit(core) for _ in range(2)]

    def run_on():
        while True:
            cases.append(Case(tiny, None).submit(core))
            core.step()

    with pytest.raises(EngineBroken):
        run_on()
    core.fail_all(EngineBroken())
    assert all(isinstance(case.outputs[-1], Exception) for case in cases)


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
    case = Case(checkpoint, sound(40)).submit(core)
    drain(core)
    processor = tiny.processor
    inputs = processor(
        text=[
            processor.tokenizer.decode(case.ids)
            .replace("<sound>" * case.audio.num_tokens, "<sound>")
            .replace("<|sound_bos|>", "")
            .replace("<|sound_eos|>", "")
        ],
        audio=[case.samples],
    )
    assert inputs.input_ids[0].tolist() == case.ids
    assert case.tokens == tokens_of_generate(checkpoint, inputs, 24)


# Structured output.


@pytest.fixture(scope="module")
def grammars(tiny):
    vocabulary_size = tiny.model.config.text_config.vocab_size
    return GrammarCompiler(tiny.processor.tokenizer, vocabulary_size, tiny.limits.eos_token_ids)


KEY = {
    "type": "object",
    "properties": {"tonic": {"enum": ["C", "D", "E"]}, "is_minor": {"type": "boolean"}},
    "required": ["tonic", "is_minor"],
    "additionalProperties": False,
}
AS_KEY = GrammarSpec("json_schema", json.dumps(KEY))


def is_key(text):
    key = json.loads(text)
    return list(key) == KEY["required"] and key["tonic"] in "CDE" and key["is_minor"] in (0, 1)


def submit_with_grammar(core, case, grammar, num_tokens=300, **how):
    params = SamplingParams(max_tokens=num_tokens, **how)
    prompt = Prompt(case.ids, case.audio, grammar=grammar)
    case.sequence = core.submit(prompt, params, 0, case.outputs.append)
    return case


def test_output_matches_its_schema_and_stops_when_complete(tiny, grammars, model_impl):
    core = core_of(tiny, model_impl=model_impl)
    plain = Case(tiny, sound(2)).submit(core)
    constrained = [
        submit_with_grammar(core, Case(tiny, sound(3)), grammars.compile(AS_KEY), temperature=heat)
        for heat in (0.0, 1.0)
    ]
    drain(core)
    assert plain.tokens == plain.expected()
    for case in constrained:
        assert is_key(tiny.processor.tokenizer.decode(case.tokens))
        assert case.outputs[-1].finish_reason == "stop"
    assert core.scheduler.kv_cache.num_tokens_used == 0


def test_output_complete_at_max_tokens_finishes_with_stop(tiny, grammars):
    core = core_of(tiny)
    whole = submit_with_grammar(core, Case(tiny, None), grammars.compile(AS_KEY))
    drain(core)
    num_said, again = len(whole.tokens), Case(tiny, None)
    submit_with_grammar(core, again, grammars.compile(AS_KEY), num_tokens=num_said)
    drain(core)
    assert again.tokens == whole.tokens
    assert again.outputs[-1].finish_reason == "stop"


def test_a_preempted_sequence_keeps_the_state_of_its_grammar(tiny, grammars):
    core = core_of(tiny, kv_cache_tokens=900)
    core.scheduler.limits = dataclasses.replace(core.scheduler.limits, preempt_after_s=0.0)
    young = submit_with_grammar(core, Case(tiny, sound(9)), grammars.compile(AS_KEY))
    young.sequence.number += 10
    for _ in range(6):
        core.step()
    assert young.tokens
    old = submit_with_grammar(core, Case(tiny, sound(8, 1)), grammars.compile(AS_KEY))
    drain(core)
    assert young.sequence.num_preemptions == 1
    for case in (young, old):
        assert is_key(tiny.processor.tokenizer.decode(case.tokens))


class FailingGrammar:
    """A grammar that allows everything until it raises."""

    is_done = False

    def __init__(self, *, after, error, in_mask):
        self.left, self.error, self.in_mask = after, error, in_mask

    def mask(self):
        if self.in_mask and not self.left:
            raise self.error
        return torch.full((32,), -1, dtype=torch.int32)

    def accept(self, token_id):
        if not self.in_mask and not self.left:
            raise self.error
        self.left -= 1


@pytest.mark.parametrize("in_mask", [True, False], ids=["mask", "accept"])
@pytest.mark.parametrize("after", [0, 5])
@pytest.mark.parametrize("error", [BadRequest("too large"), ValueError("not allowed")])
def test_a_grammar_error_fails_its_own_sequence_only(tiny, in_mask, after, error):
    core = core_of(tiny)
    good = Case(tiny, sound(2)).submit(core)
    bad = submit_with_grammar(
        core, Case(tiny, sound(3, 1)), FailingGrammar(after=after, error=error, in_mask=in_mask)
    )
    drain(core)
    assert good.tokens == good.expected()
    assert len(bad.outputs) == after + 1
    if isinstance(error, BadRequest) or not in_mask:
        assert bad.outputs[-1] is error
    else:
        assert isinstance(bad.outputs[-1], SequenceFailed)
    assert core.scheduler.kv_cache.num_tokens_used == 0
    assert core.runner._audio_embeds == {}


# Prompts that are submitted together, on the engine's thread.


@contextlib.asynccontextmanager
async def running(checkpoint, **options):
    engine = Engine(checkpoint, engine_options(**options))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def test_choices_of_one_clip_prefill_it_once(tiny):
    async def scenario():
        case = Case(tiny, sound(40), num_tokens=8)
        said = {number: [] for number in range(6)}
        async with running(tiny) as engine:
            together = [(Prompt(case.ids, case.audio), case.params) for _ in said]
            with engine.generate_many(together) as steps:
                async for number, step in steps:
                    said[number].append(step.token_id)
            return case, said, engine.profile

    case, said, profile = asyncio.run(scenario())
    assert list(said.values()) == [case.expected()] * 6
    assert profile.num_windows == 2
    assert profile.num_prefilled == len(case.ids) + 5, "the others compute their last token only"


def test_choices_without_a_clip_share_their_prefill_too(tiny):
    core = core_of(tiny)
    cases = [Case(tiny, None, num_tokens=6).submit(core) for _ in range(4)]
    drain(core)
    assert [case.tokens for case in cases] == [cases[0].expected()] * 4
    assert core.profile.num_prefilled == len(cases[0].ids) + 3


def test_cancelling_one_prompt_of_a_group_keeps_the_others(tiny):
    async def scenario():
        said = {0: 0, 1: 0, 2: 0}
        async with running(tiny) as engine:
            prompt_only = Prompt(Case(tiny, None).ids)
            cases = [(prompt_only, SamplingParams(max_tokens=number)) for number in (40, 2000, 40)]
            with engine.generate_many(cases) as steps:
                async for number, _ in steps:
                    said[number] += 1
                    if number == 1 and said[1] == 5:
                        steps.cancel(1)
            return said, engine._core.has_work()

    assert asyncio.run(scenario()) == ({0: 40, 1: 5, 2: 40}, False)


def test_leaving_the_stream_frees_the_memory_of_all(tiny):
    async def scenario():
        async with running(tiny) as engine:
            asked = (Prompt(Case(tiny, None).ids), SamplingParams(max_tokens=2000))
            with engine.generate_many([asked] * 3) as steps:
                async for _ in steps:
                    break
            async for _ in engine.generate(asked[0], SamplingParams(max_tokens=1)):
                pass  # what was left before it is let go before it
            return engine._core.scheduler.kv_cache.num_tokens_used, engine._core.has_work()

    assert asyncio.run(scenario()) == (0, False)


def test_an_error_in_one_prompt_ends_the_group(tiny):
    async def scenario():
        async with running(tiny) as engine:
            ids, params = Case(tiny, None).ids, SamplingParams(max_tokens=2000)
            breaks = FailingGrammar(after=3, error=BadRequest("too large"), in_mask=True)
            with (
                pytest.raises(BadRequest, match="too large"),
                engine.generate_many(
                    [(Prompt(ids), params), (Prompt(ids, grammar=breaks), params)]
                ) as s,
            ):
                async for _ in s:
                    pass
            async for _ in engine.generate(Prompt(ids), SamplingParams(max_tokens=1)):
                pass
            return engine._core.has_work()

    assert asyncio.run(scenario()) is False


def test_a_prompt_that_can_never_fit_rejects_its_group(tiny):
    async def scenario():
        async with running(tiny, kv_cache_tokens=300) as engine:
            ids = Case(tiny, None).ids
            cases = [(Prompt(ids), SamplingParams(max_tokens=number)) for number in (4, 400)]
            with pytest.raises(ContextTooLong), engine.generate_many(cases):
                pass
            return engine._core.has_work()

    assert asyncio.run(scenario()) is False


def test_compiling_grammars_does_not_block_the_loop(tiny):
    async def scenario():
        async with running(tiny) as engine:
            compiling = [asyncio.ensure_future(engine.compile(AS_KEY)) for _ in range(5)]
            num_turns = 0
            while not all(each.done() for each in compiling):
                await asyncio.sleep(0)
                num_turns += 1
            compiled = [each.result() for each in compiling]
            refused = GrammarSpec("json_schema", '{"not": {}}')
            with pytest.raises(BadRequest):
                await engine.compile(refused)
            return num_turns, compiled

    num_turns, compiled = asyncio.run(scenario())
    assert num_turns > 10
    assert len(set(map(id, compiled))) == 5
