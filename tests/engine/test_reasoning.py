"""Reasoning in the engine: its budget, the forced mark behind it, and the answer that follows."""

import dataclasses
import functools
import random

import pytest
import torch
from engine.options import by_default, engine_options
from engine.workloads import Workload
from fakes.effort import examples

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.structured_output.constraint import Reasoning, ReasoningRules
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.engine.structured_output.reasoning_scan import END, OPEN

PROMPT = [11, 12, 13, 80, 81]


@pytest.fixture(params=[False, True], ids=["synchronous", "asynchronous"], autouse=True)
def is_asynchronous(request):
    """Run every test with and without steps that are launched ahead."""
    with by_default(async_scheduling=request.param):
        yield request.param


@pytest.fixture(params=["fused", "transformers"])
def model_impl(request):
    return request.param


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


class Run:
    """One sequence and its outputs."""

    def __init__(self, core, ids=(), *, num_tokens=24, seed=0, grammar=None, rules=None, **params):
        self.outputs = []
        params = SamplingParams(**({"max_tokens": num_tokens, "ignore_eos": True} | params))
        prompt = Prompt([*PROMPT, *ids], grammar=grammar, reasoning=rules)
        self.sequence = core.submit(prompt, params, seed, self.outputs.append)

    @property
    def tokens(self):
        return [output.token_id for output in self.outputs if output.token_id is not None]

    @property
    def finish_reason(self):
        return self.outputs[-1].finish_reason


def run(core, *args, **options):
    one = Run(core, *args, **options)
    drain(core)
    return one


def ending(tables):
    return list(tables.endings[0])


@pytest.mark.parametrize("budget", [0, 1, 7])
def test_behind_the_budget_the_mark_is_forced_and_the_model_goes_on(core, tables, budget):
    free = run(core)
    found = run(core, rules=ReasoningRules(tables, budget))
    before = [*free.tokens[:budget], *ending(tables)]
    assert found.tokens[: len(before)] == before
    answer = run(core, before, num_tokens=24 - len(before))
    assert found.tokens[len(before) :] == answer.tokens
    assert found.finish_reason == "length"


def test_a_mark_is_several_tokens_here(tables, tiny):
    assert len(ending(tables)) > 5
    assert tiny.processor.tokenizer.decode(ending(tables)) == END
    for at, ids in enumerate(tables.endings[1:], start=1):
        assert tiny.processor.tokenizer.decode(ids) == "</think>"[at:] + "\n\n"


def test_a_budget_that_is_not_used_up_changes_nothing(core, tables):
    plain = run(core, temperature=1.0, seed=5)
    assert (
        run(core, temperature=1.0, seed=5, rules=ReasoningRules(tables, 99)).tokens == plain.tokens
    )


def test_an_answer_without_reasoning_is_not_touched(core, tables):
    closed = dataclasses.replace(tables, is_open=False)
    plain = run(core, temperature=1.0, seed=5)
    found = run(core, temperature=1.0, seed=5, rules=ReasoningRules(closed, 0))
    assert found.tokens == plain.tokens


def test_a_mark_that_the_model_writes_itself_opens_the_reasoning(core, tables, tiny):
    closed = dataclasses.replace(tables, is_open=False)
    mark = iter(tiny.processor.tokenizer(OPEN.decode())["input_ids"])
    found = Run(core, rules=ReasoningRules(closed, 2))
    # A model without a mind does not think by itself: its first tokens are chosen for it.
    state = core._inputs[found.sequence]
    state.constraint = Chosen(state.constraint, mark, tables)
    found.sequence.num_free = 0
    drain(core)
    num_open = len(tiny.processor.tokenizer(OPEN.decode())["input_ids"])
    at = num_open + 2
    assert found.tokens[at : at + len(ending(tables))] == ending(tables)


class Chosen(Reasoning):
    """A constraint whose first tokens are given."""

    is_done = False

    def __init__(self, inner, tokens, tables):
        self.inner, self.left, self.tables = inner, list(tokens), tables

    @property
    def num_free(self):
        return 0 if self.left else self.inner.num_free

    def mask(self):
        return self.tables.only(self.left[0]) if self.left else self.inner.mask()

    def accept(self, token_id):
        self.left = self.left[1:]
        self.inner.accept(token_id)


def test_sequences_with_and_without_a_budget_do_not_affect_each_other(tiny, model_impl, tables):
    kinds = [
        {},
        {"rules": ReasoningRules(tables, 3)},
        {"temperature": 1.0, "seed": 3},
        {"temperature": 1.0, "seed": 4, "top_p": 0.8, "rules": ReasoningRules(tables, 0)},
        {"temperature": 0.8, "seed": 5, "top_k": 5, "rules": ReasoningRules(tables, 5)},
        {"temperature": 1.0, "seed": 6, "rules": ReasoningRules(tables, 11)},
    ]
    alone = [run(core_of(tiny, model_impl=model_impl), **kind).tokens for kind in kinds]
    core = core_of(tiny, model_impl=model_impl)
    together = [Run(core, **kind) for kind in kinds]
    drain(core)
    assert [each.tokens for each in together] == alone


def test_a_seed_means_the_same_behind_forced_tokens(core, tables):
    found = run(core, temperature=1.0, seed=9, rules=ReasoningRules(tables, 2))
    again = run(core, temperature=1.0, seed=9, rules=ReasoningRules(tables, 2))
    assert found.tokens == again.tokens
    free = run(core, temperature=1.0, seed=9)
    assert found.tokens[:2] == free.tokens[:2]


@pytest.mark.parametrize("num_forced", [0, 1, 4])
def test_a_sequence_that_is_preempted_in_forced_tokens_goes_on_with_them(tiny, tables, num_forced):
    core = core_of(tiny)
    expected = run(core, rules=ReasoningRules(tables, 3)).tokens
    found = Run(core, rules=ReasoningRules(tables, 3))
    while len(found.outputs) < 3 + num_forced:
        core.step()
    core.scheduler._preempt(found.sequence, 0.0)
    drain(core)
    assert found.sequence.num_preemptions == 1
    assert found.tokens == expected


def test_a_sequence_that_is_cancelled_in_forced_tokens_leaves_nothing(tiny, tables):
    core = core_of(tiny)
    other = Run(core, temperature=1.0)
    gone = Run(core, rules=ReasoningRules(tables, 3))
    while len(gone.outputs) < 6:
        core.step()
    core.cancel(gone.sequence)
    drain(core)
    assert len(gone.outputs) == 6
    assert other.tokens == run(core_of(tiny), temperature=1.0).tokens
    assert core.scheduler.kv_cache.num_tokens_used == 0
    assert not core._inputs


@pytest.mark.parametrize("num_tokens", [2, 5, 9])
def test_the_maximum_of_tokens_ends_reasoning_and_mark_too(core, tables, num_tokens):
    found = run(core, rules=ReasoningRules(tables, 3), num_tokens=num_tokens)
    whole = run(core, rules=ReasoningRules(tables, 3))
    assert found.tokens == whole.tokens[:num_tokens]
    assert found.finish_reason == "length"


def test_a_minimum_of_tokens_counts_those_of_the_mark(core, tables, tiny):
    ids = frozenset(range(1024)) - {5, *ending(tables)}
    params = {"ignore_eos": False, "stop_token_ids": ids}
    num_before = 2 + len(ending(tables))
    short = run(core, rules=ReasoningRules(tables, 0), **params)
    assert short.tokens[: num_before - 2] == ending(tables)
    found = run(core, rules=ReasoningRules(tables, 2), min_tokens=num_before, **params)
    assert found.tokens[2:num_before] == ending(tables)


def test_a_stop_token_of_the_mark_ends_the_output_there(core, tables):
    stop = ending(tables)[2]
    found = run(core, rules=ReasoningRules(tables, 0), stop_token_ids=frozenset({stop}))
    assert found.tokens == ending(tables)[:2]
    assert found.outputs[-1].stop_token_id == stop


def test_bias_and_penalties_do_not_keep_the_mark_from_coming(core, tables):
    found = run(
        core,
        rules=ReasoningRules(tables, 2),
        repetition_penalty=2.0,
        presence_penalty=2.0,
        logit_bias=dict.fromkeys(ending(tables), -100.0),
    )
    assert found.tokens[2 : 2 + len(ending(tables))] == ending(tables)


def test_forced_tokens_have_the_probability_that_the_model_gives_them(core, tables, tiny):
    found = run(core, rules=ReasoningRules(tables, 2), num_logprobs=2)
    output = found.outputs[4]
    assert output.token_id == ending(tables)[2]
    ids = torch.tensor([[*PROMPT, *found.tokens[:4]]])
    with torch.inference_mode():
        logits = tiny.model(input_ids=ids).logits[0, -1]
    expected = logits.log_softmax(-1)
    assert output.logprob == pytest.approx(expected[output.token_id].item(), abs=1e-4)
    best = expected.topk(2)
    assert [token_id for token_id, _ in output.top_logprobs] == best.indices.tolist()
    assert output.logprob < output.top_logprobs[0][1]


def key(grammars):
    return grammars.compile(GrammarSpec("regex", "[A-G] (major|minor)"))


@pytest.mark.parametrize("budget", [0, 1, 8])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_grammar_begins_behind_the_mark(core, tables, grammars, budget, temperature):
    rules = ReasoningRules(tables, budget)
    params = {"temperature": temperature, "top_p": 0.9, "seed": 3}
    found = run(core, grammar=key(grammars), rules=rules, ignore_eos=False, **params)
    text = b"".join(tables.texts[each] for each in found.tokens[budget:]).decode()
    assert text.startswith(END)
    assert text.removeprefix(END).endswith((" major", " minor"))
    assert found.finish_reason == "stop"
    free = run(core, **params)
    assert found.tokens[:budget] == free.tokens[:budget]


def test_reasoning_before_a_grammar_does_not_end_the_text(core, tables, tiny, grammars):
    (eos,) = tiny.limits.eos_token_ids
    found = run(
        core,
        grammar=key(grammars),
        rules=ReasoningRules(tables, 6),
        logit_bias={eos: 100.0},
        ignore_eos=False,
    )
    text = tiny.processor.tokenizer.decode(found.tokens[6:])
    assert text.removeprefix(END).endswith((" major", " minor"))


def test_a_grammar_holds_from_the_first_token_where_nothing_is_reasoned(
    core, tables, tiny, grammars
):
    closed = dataclasses.replace(tables, is_open=False)
    (less_than,) = tiny.processor.tokenizer("<")["input_ids"]
    found = run(
        core,
        grammar=key(grammars),
        rules=ReasoningRules(closed),
        logit_bias={less_than: -100.0},
        ignore_eos=False,
    )
    plain = run(core, grammar=key(grammars), ignore_eos=False)
    assert found.tokens == plain.tokens


def test_a_model_that_begins_the_mark_reasons_before_the_grammar(core, tables, tiny, grammars):
    closed = dataclasses.replace(tables, is_open=False)
    (less_than,) = tiny.processor.tokenizer("<")["input_ids"]
    found = run(
        core,
        grammar=key(grammars),
        rules=ReasoningRules(closed, 3),
        logit_bias={less_than: 100.0},
        num_tokens=40,
        ignore_eos=False,
    )
    text = tiny.processor.tokenizer.decode(found.tokens)
    assert text.startswith("<think><<")
    assert text.endswith((" major", " minor"))


def test_a_grammar_that_waits_survives_preemption(tiny, tables, grammars):
    run_of = functools.partial(Run, rules=ReasoningRules(tables, 5), ignore_eos=False)
    expected = run_of(core := core_of(tiny), grammar=key(grammars))
    drain(core)
    found = run_of(core, grammar=key(grammars))
    for num_outputs in (3, 7, 15):
        while len(found.outputs) < num_outputs:
            core.step()
        core.scheduler._preempt(found.sequence, 0.0)
    drain(core)
    assert found.sequence.num_preemptions == 3
    assert found.tokens == expected.tokens


@pytest.mark.parametrize("seed", range(examples(40)))
def test_random_requests_with_budgets_have_the_streams_of_an_engine_that_is_alone(
    tiny, grammars, tables, seed
):
    both = [tables, dataclasses.replace(tables, is_open=False)]
    pools = {"kv_cache_tokens": random.Random(seed).choice([256, 512, 4096])}
    core = core_of(tiny, **pools)
    found = Workload(seed, grammars, tables=both).outputs(core)
    plain = core_of(tiny, async_scheduling=False, max_num_seqs=1)
    assert found == Workload(seed, grammars, tables=both).outputs(plain)
    assert core.scheduler.kv_cache.num_tokens_used == 0
