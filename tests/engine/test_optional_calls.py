"""Calls in the engine that the model begins by itself, behind free text or at once."""

import dataclasses
import json
import random
import re

import pytest
from engine.options import by_default, engine_options
from engine.workloads import Workload
from fakes.effort import examples

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.structured_output.call_constraint import (
    CallRules,
    FormatOrCalls,
    OptionalCalls,
)
from flamingo_pod.engine.structured_output.call_tokens import CLOSE, OPEN, CallTokens
from flamingo_pod.engine.structured_output.constraint import ReasoningRules
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import FunctionSpec, GrammarSpec
from flamingo_pod.engine.structured_output.reasoning_scan import END
from flamingo_pod.engine.structured_output.reasoning_tokens import words
from flamingo_pod.text import call_format
from flamingo_pod.text.byte_level import text_bytes
from flamingo_pod.text.reasoning_format import Vocabulary

PROMPT = [11, 12, 13, 80, 81]
KEY = {
    "type": "object",
    "properties": {"tonic": {"enum": ["C", "D#"]}, "is_minor": {"type": "boolean"}},
    "required": ["tonic", "is_minor"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
FUNCTIONS = (FunctionSpec("set_key", json.dumps(KEY)), FunctionSpec("set", json.dumps(NOTHING)))
CALL = re.compile(
    r"\n<tool_call>\n"
    r'\{"name": ("set_key", "arguments": \{"tonic": "(C|D#)", "is_minor": (true|false)\}'
    r'|"set", "arguments": \{\})\}\n</tool_call>'
)
MARKS = {500: OPEN, 501: CLOSE}


@pytest.fixture(params=[False, True], ids=["synchronous", "asynchronous"], autouse=True)
def is_asynchronous(request):
    """Run every test with and without steps that are launched ahead."""
    with by_default(async_scheduling=request.param):
        yield request.param


@pytest.fixture(params=["fused", "transformers"])
def model_impl(request):
    return request.param


@pytest.fixture(params=["spelled", "one token"])
def calls(request, tiny):
    """The tables of the tiny model, which spells the marks, or as if it had tokens for them."""
    return tables_of(tiny, has_marks=request.param == "one token")


def tables_of(tiny, *, has_marks):
    size, eos_ids = tiny.model.config.text_config.vocab_size, tiny.limits.eos_token_ids
    if not has_marks:
        return call_format.call_tokens(tiny.processor, Vocabulary(size, eos_ids))
    table = text_bytes(tiny.processor.tokenizer)
    return CallTokens.create([MARKS.get(each, table[each]) for each in range(size)], eos_ids)


@pytest.fixture(scope="module")
def grammars(tiny):
    size = tiny.model.config.text_config.vocab_size
    return GrammarCompiler(tiny.processor.tokenizer, size, tiny.limits.eos_token_ids)


@pytest.fixture
def core(tiny, model_impl):
    return core_of(tiny, model_impl=model_impl)


def core_of(tiny, **options):
    return EngineCore(tiny, engine_options(**options))


def drain(core):
    while core.has_work():
        core.step()


def rules_of(calls, grammars, **options):
    one_call = grammars.compile(GrammarSpec("tool_call", functions=FUNCTIONS))
    return CallRules(calls, one_call, **options)


class Written(OptionalCalls):
    """A constraint whose next tokens are given, as the model would write them."""

    def __init__(self, inner, tokens):
        self.inner, self.left = inner, list(tokens)

    @property
    def num_free(self):
        return 0 if self.left else self.inner.num_free

    @property
    def is_done(self):
        return self.inner.is_done

    def mask(self):
        tables = self.inner._rules.tokens
        return words(len(tables.texts), self.left[:1]) if self.left else self.inner.mask()

    def accept(self, token_id):
        self.left = self.left[1:]
        self.inner.accept(token_id)


class Run:
    """One sequence and its outputs; the model begins it with these tokens."""

    def __init__(self, core, rules, begins=(), *, seed=0, num_tokens=120, reasoning=None, **params):
        self.outputs, self.texts = [], rules and rules.tokens.texts
        params = SamplingParams(**({"max_tokens": num_tokens} | params))
        prompt = Prompt(PROMPT, reasoning=reasoning, calls=rules)
        self.sequence = core.submit(prompt, params, seed, self.outputs.append)
        if begins:
            state = core._inputs[self.sequence]
            state.constraint = Written(state.constraint, begins)
            self.sequence.num_free = 0

    @property
    def tokens(self):
        return [output.token_id for output in self.outputs if output.token_id is not None]

    @property
    def text(self):
        return b"".join(self.texts[each] for each in self.tokens).decode(errors="replace")

    @property
    def finish_reason(self):
        return self.outputs[-1].finish_reason


def run(core, *args, **options):
    one = Run(core, *args, **options)
    drain(core)
    return one


def mark_of(tiny, calls, mark=OPEN):
    """Return the tokens of a mark."""
    for number, text in MARKS.items():
        if calls.texts[number] == text == mark:
            return [number]
    return tiny.processor.tokenizer(mark.decode(), add_special_tokens=False)["input_ids"]


def begun(tiny, calls):
    text = tiny.processor.tokenizer("So.", add_special_tokens=False)["input_ids"]
    return [*text, *mark_of(tiny, calls)]


def only_calls(text):
    """Whether a text is whole calls, from the first mark on."""
    return bool(re.fullmatch(f"({CALL.pattern})+", "\n" + text))


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_call_that_the_model_begins_is_one_of_the_functions(
    core, tiny, calls, grammars, temperature
):
    rules = rules_of(calls, grammars, is_parallel=False)
    found = run(core, rules, begun(tiny, calls), temperature=temperature)
    before, mark, rest = found.text.partition("<tool_call>")
    assert before == "So."
    assert CALL.fullmatch("\n" + mark + rest)
    assert found.finish_reason == "stop"


def test_several_calls_follow_each_other_until_the_model_ends(core, tiny, calls, grammars):
    (eos,) = tiny.limits.eos_token_ids
    (line_end,) = tiny.processor.tokenizer("\n")["input_ids"]
    begins = mark_of(tiny, calls)
    options = {"temperature": 1.0, "num_tokens": 400, "logit_bias": {eos: 40.0, line_end: 40.0}}
    counts = set()
    for seed in range(8):
        found = run(core, rules_of(calls, grammars), begins, seed=seed, **options)
        assert only_calls(found.text)
        assert found.finish_reason == "stop"
        counts.add(found.text.count("<tool_call>"))
    assert len(counts) > 1


def test_text_without_a_call_is_what_it_is_without_the_constraint(core, calls, grammars):
    for params in ({}, {"temperature": 1.0, "seed": 5}, {"repetition_penalty": 1.3}):
        plain = run(core, None, num_tokens=40, **params)
        assert run(core, rules_of(calls, grammars), num_tokens=40, **params).tokens == plain.tokens


def test_the_maximum_of_tokens_ends_a_call_anywhere(core, tiny, calls, grammars):
    rules = rules_of(calls, grammars)
    whole = run(core, rules, begun(tiny, calls))
    for num_tokens in (1, len(begun(tiny, calls)), len(begun(tiny, calls)) + 9):
        found = run(core, rules, begun(tiny, calls), num_tokens=num_tokens)
        assert found.tokens == whole.tokens[:num_tokens]
        assert found.finish_reason == "length"


def test_a_sequence_that_is_preempted_in_its_text_or_in_a_call_goes_on(tiny, calls, grammars):
    core = core_of(tiny)
    rules = rules_of(calls, grammars, is_parallel=False)
    expected = run(core, rules, begun(tiny, calls))
    found = Run(core, rules, begun(tiny, calls))
    for num_outputs in (1, len(begun(tiny, calls)) + 1, len(expected.outputs) - 2):
        while len(found.outputs) < num_outputs:
            core.step()
        core.scheduler._preempt(found.sequence, 0.0)
    drain(core)
    assert found.sequence.num_preemptions == 3
    assert found.tokens == expected.tokens


def test_sequences_with_and_without_calls_do_not_affect_each_other(
    tiny, model_impl, calls, grammars
):
    rules = rules_of(calls, grammars)
    kinds = [
        (None, (), {}),
        (rules, begun(tiny, calls), {}),
        (rules, (), {"temperature": 1.0, "seed": 3}),
        (None, (), {"temperature": 1.0, "seed": 4, "top_p": 0.8}),
        (rules, begun(tiny, calls), {"temperature": 1.2, "seed": 5, "num_logprobs": 1}),
    ]
    alone = [
        run(core_of(tiny, model_impl=model_impl), rules, begins, **kind).tokens
        for rules, begins, kind in kinds
    ]
    core = core_of(tiny, model_impl=model_impl)
    together = [Run(core, rules, begins, **kind) for rules, begins, kind in kinds]
    drain(core)
    assert [each.tokens for each in together] == alone


def test_a_token_that_begins_a_call_makes_the_step_that_is_ahead_void(tiny, grammars):
    """The mark is sampled freely here, so the step behind it was launched before it was read."""
    rules = rules_of(tables_of(tiny, has_marks=True), grammars, is_parallel=False)
    core = core_of(tiny)
    others = [Run(core, None, temperature=1.0, seed=number) for number in range(2)]
    options = {"temperature": 1.0, "logit_bias": {500: 8.0}, "num_tokens": 200}
    made = [Run(core, rules, seed=seed, **options) for seed in range(6)]
    drain(core)
    num_texts = 0
    for found in made:
        before, mark, rest = found.text.partition("<tool_call>")
        assert CALL.fullmatch("\n" + mark + rest)
        num_texts += bool(before)
    assert num_texts > 1
    plain = core_of(tiny, async_scheduling=False)
    assert [each.tokens for each in made] == [
        run(plain, rules, seed=seed, **options).tokens for seed in range(6)
    ]
    assert [each.tokens for each in others] == [
        run(plain, None, temperature=1.0, seed=number).tokens for number in range(2)
    ]


def test_a_call_begins_behind_the_reasoning_and_not_inside(core, tiny, tables, calls, grammars):
    rules = rules_of(calls, grammars, is_parallel=False)
    encode = tiny.processor.tokenizer
    ending = encode("</think>\n\n", add_special_tokens=False)["input_ids"]
    inside = [*mark_of(tiny, calls), *encode("x {")["input_ids"]]
    begins = [*inside, *ending, *mark_of(tiny, calls)]
    reasoning = ReasoningRules(tables)
    found = run(core, rules, begins, reasoning=reasoning, num_tokens=150)
    thought, _, answer = found.text.partition("</think>\n\n")
    assert thought == "<tool_call>x {"
    assert CALL.fullmatch("\n" + answer)


def test_a_budget_ends_the_reasoning_before_a_call(core, tiny, tables, calls, grammars):
    rules = rules_of(calls, grammars, is_parallel=False)
    forced = tables.endings[0]
    (first,) = tiny.processor.tokenizer("x")["input_ids"]
    begins = [first, first, *forced, *mark_of(tiny, calls)]
    found = run(core, rules, begins, reasoning=ReasoningRules(tables, 2), num_tokens=150)
    assert CALL.fullmatch("\n" + found.text.removeprefix(f"xx{END}"))
    free = run(core, None, reasoning=ReasoningRules(tables, 3), num_tokens=40)
    same = run(core, rules, reasoning=ReasoningRules(tables, 3), num_tokens=40)
    assert same.tokens == free.tokens


def test_log_probabilities_are_those_of_the_model(core, tiny, calls, grammars):
    rules = rules_of(calls, grammars, is_parallel=False)
    found = run(core, rules, begun(tiny, calls), num_logprobs=0)
    assert all(one.logprob is not None for one in found.outputs if one.token_id is not None)


@pytest.mark.parametrize("bias", [-100.0, 100.0])
def test_an_answer_with_a_format_is_it_or_a_call(core, tiny, calls, grammars, bias):
    rules = rules_of(calls, grammars, is_parallel=False)
    grammar = FormatOrCalls(rules, grammars.compile(GrammarSpec("regex", "[A-G] major")))
    outputs = []
    params = SamplingParams(120, logit_bias={mark_of(tiny, calls)[0]: bias})
    core.submit(Prompt(PROMPT, grammar=grammar), params, 0, outputs.append)
    drain(core)
    ids = [one.token_id for one in outputs if one.token_id is not None]
    text = b"".join(calls.texts[each] for each in ids).decode()
    assert bool(CALL.fullmatch("\n" + text)) == (bias > 0)
    assert bool(re.fullmatch("[A-G] major", text)) == (bias < 0)
    assert outputs[-1].finish_reason == "stop"


@pytest.mark.parametrize("seed", range(examples(10)))
def test_random_requests_have_the_streams_of_an_engine_that_is_alone(
    tiny, grammars, tables, calls, seed
):
    def with_calls(step, number, prompt, params, cancel_after):
        bias = {**params.logit_bias, mark_of(tiny, calls)[0]: 6.0 * (number % 3)}
        prompt = dataclasses.replace(prompt, calls=rules_of(calls, grammars))
        return step, number, prompt, dataclasses.replace(params, logit_bias=bias), cancel_after

    def workload():
        both = [tables, dataclasses.replace(tables, is_open=False)]
        work, rng = Workload(seed, tables=both), random.Random(seed)
        work.requests = [with_calls(*one) if rng.random() < 0.7 else one for one in work.requests]
        return work

    core = core_of(tiny, kv_cache_tokens=random.Random(seed).choice([256, 512, 4096]))
    found = workload().outputs(core)
    plain = core_of(tiny, async_scheduling=False, max_num_seqs=1)
    assert found == workload().outputs(plain)
    assert core.scheduler.kv_cache.num_tokens_used == 0
