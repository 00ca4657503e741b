"""Sampling a batch: greedy rows, independence of the batch, and invalid rows."""

import math

import pytest
import torch
from engine.sampling.rows import (
    VOCABULARY,
    ids,
    large_batch,
    launched,
    logits_of,
    mask_of,
    row,
    sample,
    state_of,
)
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo_pod.engine.sampling.batch import SamplingBatch, SamplingInput
from flamingo_pod.engine.sampling.launch import launch
from flamingo_pod.engine.sampling.results import NO_TOKEN, InvalidLogits

# Greedy.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_greedy_is_the_likeliest_token(dtype):
    logits = logits_of(16).to(dtype)
    assert ids(sample(logits, [row()] * 16)) == logits.argmax(-1).tolist()


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1.5, "top_k": 1},
        {"temperature": 1.5, "top_p": 1e-6},
        {"temperature": 1.5, "min_p": 1.0},
        {"temperature": 1e-7},
        {"temperature": 1e-4},
    ],
    ids=str,
)
def test_the_narrowest_filter_is_greedy(fields):
    logits = logits_of(64)
    rows = [row(seed=seed, **fields) for seed in range(64)]
    assert ids(sample(logits, rows)) == logits.argmax(-1).tolist()


def test_no_rows_give_no_tokens():
    assert sample(torch.empty(0, VOCABULARY), []) == []


def test_the_caller_keeps_its_logits():
    logits = logits_of(3)
    before = logits.clone()
    busy = {"temperature": 0.7, "top_p": 0.9, "logit_bias": {1: 5.0}, "repetition_penalty": 1.3}
    rows = [row(prompt_ids=[1, 2], allowed=mask_of(range(9)), num_logprobs=3, **busy)] * 3
    sample(logits, rows)
    assert torch.equal(logits, before)


# Launched ahead.


def test_the_tokens_on_the_device_are_those_that_are_read():
    rows, logits = large_batch(24, VOCABULARY), logits_of(24)
    logits[3] = math.nan
    step = launched(logits, rows)
    tokens = [NO_TOKEN if each == InvalidLogits() else each.token_id for each in step.read()]
    assert step.token_ids.dtype == torch.int64
    assert step.token_ids.tolist() == tokens
    assert tokens[3] == NO_TOKEN


def test_a_token_that_needed_more_candidates_is_corrected_when_it_is_read():
    rows = [row(seed, temperature=1.0, top_p=0.9, num_logprobs=2) for seed in range(40)]
    rows += [row(temperature=1.0, top_p=0.0001), row()]
    logits = logits_of(42, 5000, scale=0.1)
    step = launched(logits, rows)
    tokens, on_device = step.read(), step.token_ids.tolist()
    changed = [each.token_id != before for each, before in zip(tokens, on_device, strict=True)]
    assert [each.is_corrected for each in tokens] == changed
    assert 20 < sum(changed) <= 40
    assert step.batch.provisional_rows.tolist() == [*range(41)]
    table = logits.log_softmax(-1)
    for n, token in enumerate(tokens[:40]):
        assert token.logprob == pytest.approx(float(table[n, token.token_id]))


def test_a_wide_row_is_right_at_once():
    rows = [row(seed, temperature=1.0, top_k=2000) for seed in range(20)]
    step = launched(logits_of(20, 5000, scale=0.01), rows)
    assert step.provisional is None
    assert ids(step.read()) == step.token_ids.tolist()


def test_reading_twice_gives_the_same():
    step = launched(logits_of(24, 3000, scale=0.1), large_batch(24, 3000))
    assert step.read() == step.read()


def test_a_state_that_counts_as_tokens_come_samples_as_a_new_one():
    fields = {"temperature": 1.0, "repetition_penalty": 1.4, "frequency_penalty": 0.3}
    asked = row(5, [1, 2, 3], **fields)
    state, output = state_of(asked, VOCABULARY), []
    for step in range(30):
        logits = logits_of(1, seed=step, scale=0.5)
        batch = SamplingBatch.create([SamplingInput(state, output)], VOCABULARY)
        (token,) = launch(logits, batch).read()
        anew = row(5, [1, 2, 3], list(output), **fields)
        assert token == sample(logits, [anew])[0]
        output.append(token.token_id)
    assert len(set(output)) < 30, "some were repeated, so counts matter"


# Alone and in a batch.


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 1024, 40_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_gets_the_same_token_alone_and_in_a_batch(vocabulary, dtype):
    rows = large_batch(30, vocabulary)
    logits = logits_of(30, vocabulary, scale=1.0).to(dtype)
    together = sample(logits, rows)
    alone = [sample(logits[n : n + 1], [rows[n]])[0] for n in range(30)]
    assert together == alone


@settings(max_examples=examples(30), deadline=None)
@given(st.permutations(range(20)), st.integers(1, 20))
def test_neither_order_nor_batch_matters(order, num_rows):
    rows, logits = large_batch(20, VOCABULARY), logits_of(20)
    together, some = sample(logits, rows), list(order[:num_rows])
    assert sample(logits[some], [rows[n] for n in some]) == [together[n] for n in some]


def test_a_seed_repeats_and_the_position_moves_on():
    logits = logits_of(1, scale=0.1)
    said = [
        sample(logits, [row(seed=7, output_ids=[0] * n, temperature=1.0)])[0] for n in range(50)
    ]
    again = [
        sample(logits, [row(seed=7, output_ids=[1] * n, temperature=1.0)])[0] for n in range(50)
    ]
    assert said == again, "what was said does not matter, only how much"
    assert len(set(ids(said))) > 20


def test_the_largest_seed_is_a_seed_like_any_other():
    logits = logits_of(1, scale=0.1).expand(3, -1)
    rows = [row(seed=seed, temperature=1.0, output_ids=[0]) for seed in (0, 2**63 - 1, 2**64 - 1)]
    assert len(sample(logits, rows)) == 3


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    sample(logits_of(4), [row(temperature=1.0)] * 4)
    assert torch.equal(torch.get_rng_state(), before)


# Invalid rows.


@pytest.mark.parametrize("poison", [math.nan, math.inf, None], ids=["nan", "inf", "all -inf"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 1.0},
        {"temperature": 1.0, "top_p": 0.9, "num_logprobs": 2},
        {"temperature": 1.0, "top_k": 3},
        {"logit_bias": {1: 1.0}},
        {"allowed": mask_of([0, 1])},
    ],
    ids=["greedy", "warm", "top-p", "top-k", "bias", "grammar"],
)
def test_a_row_of_invalid_logits_does_not_affect_others(poison, fields):
    logits = logits_of(3)
    rows = [row(n, **fields) for n in range(3)]
    healthy = sample(logits, rows)
    logits[1] = -math.inf if poison is None else logits[1]
    logits[1, 7] = -math.inf if poison is None else poison
    assert sample(logits, rows) == [healthy[0], InvalidLogits(), healthy[2]]


def test_a_mask_that_allows_nothing_gives_no_token():
    assert sample(logits_of(1), [row(allowed=mask_of([]))]) == [InvalidLogits()]


def test_a_token_at_minus_infinity_is_valid():
    logits = logits_of(1)
    logits[0, 3] = -math.inf
    assert ids(sample(logits, [row(temperature=1.0)])) != [3]
