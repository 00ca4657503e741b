"""Where an output ends: minimum length, stop tokens and end-of-sequence, as in transformers."""

import pytest
import torch
from engine.options import engine_options

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn

NUM_TOKENS = 24


@pytest.fixture(scope="module")
def prompt_ids(tiny):
    turn = Turn("user", "What is the tempo of this song?")
    return prompt.token_ids(tiny.processor, [turn], 0).tolist()


@pytest.fixture(scope="module")
def grammars(tiny):
    vocabulary_size = tiny.model.config.text_config.vocab_size
    return GrammarCompiler(tiny.processor.tokenizer, vocabulary_size, tiny.limits.eos_token_ids)


def generated(tiny, *requests):
    """Return the outputs of prompts that the engine computes together."""
    core, outputs = EngineCore(tiny, engine_options()), []
    for ids, grammar, fields in requests:
        outputs.append([])
        params = SamplingParams(**({"max_tokens": NUM_TOKENS} | fields))
        core.submit(Prompt(ids, grammar=grammar), params, 0, outputs[-1].append)
    while core.has_work():
        core.step()
    return outputs


def outputs_of(tiny, ids, grammar=None, **params):
    return generated(tiny, (ids, grammar, params))[0]


def tokens(outputs):
    return [output.token_id for output in outputs if output.token_id is not None]


def expected(tiny, ids, **how):
    """Return transformers' greedy tokens, with the token that ended them."""
    with torch.inference_mode():
        whole = tiny.model.generate(
            input_ids=torch.tensor([ids]),
            do_sample=False,
            **({"max_new_tokens": NUM_TOKENS} | how),
        )
    return whole[0, len(ids) :].tolist()


@pytest.fixture(scope="module")
def free(tiny, prompt_ids):
    """The tokens of an output that nothing ends; the tiny model never samples end-of-sequence."""
    return expected(tiny, prompt_ids)


@pytest.mark.parametrize("at", [0, 3, 11])
def test_a_stop_token_ends_the_output_where_transformers_ends_it(tiny, prompt_ids, free, at):
    stop = free[at]
    outputs = outputs_of(tiny, prompt_ids, stop_token_ids={stop, 1})
    eos = sorted({stop, 1, *tiny.limits.eos_token_ids})
    assert [*tokens(outputs), stop] == expected(tiny, prompt_ids, eos_token_id=eos)
    assert (outputs[-1].finish_reason, outputs[-1].stop_token_id) == ("stop", stop)


@pytest.mark.parametrize("min_tokens", [1, 4, 12, NUM_TOKENS])
def test_no_end_token_is_sampled_before_the_minimum_length(tiny, prompt_ids, free, min_tokens):
    stops = set(free[:6])
    outputs = outputs_of(tiny, prompt_ids, stop_token_ids=stops, min_tokens=min_tokens)
    eos = sorted({*stops, *tiny.limits.eos_token_ids})
    theirs = expected(tiny, prompt_ids, eos_token_id=eos, min_new_tokens=min_tokens)
    ended = [outputs[-1].stop_token_id] if outputs[-1].stop_token_id is not None else []
    assert [*tokens(outputs), *ended] == theirs
    assert len(tokens(outputs)) >= min_tokens


def test_a_kept_stop_token_is_the_last_of_the_output(tiny, prompt_ids, free):
    outputs = outputs_of(
        tiny, prompt_ids, stop_token_ids={free[3]}, is_stop_token_kept=True, num_logprobs=0
    )
    assert tokens(outputs) == free[: free.index(free[3]) + 1]
    assert outputs[-1].finish_reason == "stop"
    assert outputs[-1].logprob is not None


def test_an_ignored_end_of_sequence_is_a_token_like_any_other(tiny, prompt_ids):
    eos = min(tiny.limits.eos_token_ids)
    biased = {"logit_bias": {eos: 100.0}, "max_tokens": 5}
    heeded, ignored = generated(
        tiny, (prompt_ids, None, biased), (prompt_ids, None, biased | {"ignore_eos": True})
    )
    assert (tokens(heeded), heeded[-1].finish_reason) == ([], "stop")
    assert heeded[-1].stop_token_id is None
    assert (tokens(ignored), ignored[-1].finish_reason) == ([eos] * 5, "length")


def test_a_grammar_ends_an_output_below_the_minimum_length_only_where_nothing_may_follow(
    tiny, prompt_ids, grammars
):
    integer = GrammarSpec("json_schema", '{"type": "integer"}')
    constant = GrammarSpec("json_schema", '{"const": true}')
    longer, complete = generated(
        tiny,
        (prompt_ids, grammars.compile(integer), {"min_tokens": 9, "max_tokens": 9}),
        (prompt_ids, grammars.compile(constant), {"min_tokens": 9}),
    )
    decode = tiny.processor.tokenizer.decode
    assert len(tokens(longer)) == 9
    assert decode(tokens(longer)).removeprefix("-").isdigit()
    assert decode(tokens(complete)) == "true"
    assert complete[-1].finish_reason == "stop"


def test_an_ignored_end_of_sequence_does_not_keep_a_complete_output_open(
    tiny, prompt_ids, grammars
):
    constant = GrammarSpec("json_schema", '{"const": true}')
    outputs = outputs_of(tiny, prompt_ids, grammars.compile(constant), ignore_eos=True)
    assert tiny.processor.tokenizer.decode(tokens(outputs)) == "true"
    assert outputs[-1].finish_reason == "stop"


def test_a_preempted_sequence_keeps_its_minimum_length(tiny, prompt_ids, free):
    core, outputs = EngineCore(tiny, engine_options()), []
    params = SamplingParams(NUM_TOKENS, min_tokens=9, stop_token_ids=frozenset(free[:12]))
    sequence = core.submit(Prompt(prompt_ids), params, 0, outputs.append)
    while len(sequence.output_ids) < 5:
        core.step()
    core.scheduler._preempt(sequence, 0.0)
    assert not core.scheduler.running
    while core.has_work():
        core.step()
    assert len(tokens(outputs)) >= 9
    assert tokens(outputs) == tokens(
        outputs_of(tiny, prompt_ids, min_tokens=9, stop_token_ids=frozenset(free[:12]))
    )
