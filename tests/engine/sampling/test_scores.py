"""Bias, penalties, grammars and masks."""

import pytest
import torch
from engine.sampling.rows import (
    VOCABULARY,
    batch_of,
    filters,
    ids,
    logits_of,
    mask_of,
    row,
    sample,
    tensors_of,
)
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as theirs

from flamingo_pod.engine.sampling.scores import edited_scores

# Bias and penalties.


def scores_of(logits, one):
    return edited_scores(logits, tensors_of(batch_of([one], logits.shape[1])))


@pytest.mark.parametrize("penalty", [0.5, 1.1, 2.0])
def test_the_repetition_penalty_is_that_of_transformers(penalty):
    logits, prompt, output = logits_of(1), [1, 5, 5, 9], [7, 9]
    processor = theirs.RepetitionPenaltyLogitsProcessor(penalty)
    expected = processor(torch.tensor([prompt + output]), logits.clone())
    asked = row(0, prompt, output, repetition_penalty=penalty)
    assert torch.equal(scores_of(logits, asked), expected)


def test_frequency_and_presence_count_output_and_not_prompt_tokens():
    logits = torch.zeros(1, 6)
    fields = {"frequency_penalty": 0.5, "presence_penalty": 0.25}
    scores = scores_of(logits, row(0, [5, 5, 5], [1, 2, 2, 2], **fields))
    assert scores[0].tolist() == [0, -0.75, -1.75, 0, 0, 0]


def test_a_negative_penalty_invites_repetition():
    logits = torch.tensor([[1.0, 0.9]])
    assert ids(sample(logits, [row(output_ids=[1], presence_penalty=-0.5)])) == [1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_bias_of_100_forces_and_of_minus_100_bans(temperature):
    logits = logits_of(200)
    likeliest = logits.argmax(-1).tolist()
    forced = [row(n, temperature=temperature, logit_bias={11: 100.0}) for n in range(200)]
    banned = [
        row(n, temperature=temperature, logit_bias={likeliest[n]: -100.0}) for n in range(200)
    ]
    assert set(ids(sample(logits, forced))) == {11}
    assert all(i != best for i, best in zip(ids(sample(logits, banned)), likeliest, strict=True))


def test_the_bias_comes_before_the_penalty():
    logits = torch.tensor([[1.0, 1.5]])
    # (1 + 2) / 2 = 1.5 ties with 1.5, and the first wins; 1 / 2 + 2 = 2.5 would win outright.
    low = row(prompt_ids=[0], repetition_penalty=2.01, logit_bias={0: 2.0})
    assert ids(sample(logits, [low])) == [1]


@pytest.mark.parametrize("token_id", [-1, VOCABULARY, 10**12])
def test_ids_outside_the_vocabulary_are_ignored(token_id):
    asked = row(
        prompt_ids=[token_id],
        output_ids=[token_id],
        logit_bias={token_id: 100.0},
        repetition_penalty=1.5,
        presence_penalty=1.0,
    )
    logits = logits_of(1)
    assert ids(sample(logits, [asked])) == logits.argmax(-1).tolist()


# The grammar.


@settings(max_examples=examples(60), deadline=None)
@given(
    st.sets(st.integers(0, VOCABULARY - 1), min_size=1, max_size=12),
    filters | st.just({}),
    st.integers(0, 10**6),
)
def test_only_what_the_grammar_allows_is_sampled(allowed, fields, seed):
    logits = logits_of(8, seed=seed)
    rows = [row(seed + n, allowed=mask_of(allowed), **fields) for n in range(8)]
    assert set(ids(sample(logits, rows))) <= allowed


def test_the_mask_comes_before_the_filters():
    logits = torch.tensor([[9.0, 8.0, 1.0, 0.0]]).expand(300, -1)
    rows = [row(n, temperature=2.0, top_k=2, allowed=mask_of([2, 3], 4)) for n in range(300)]
    assert set(ids(sample(logits, rows))) == {2, 3}


def test_a_mask_applies_to_its_own_row_only():
    logits = torch.tensor([[5.0, 4.0], [5.0, 4.0]])
    assert ids(sample(logits, [row(), row(allowed=mask_of([1], 2))])) == [0, 1]


def test_the_vocabularys_last_word_may_be_part_empty():
    logits = logits_of(1, 33)
    assert ids(sample(logits, [row(allowed=mask_of([31, 32], 33))]))[0] in {31, 32}


# Tokens that must not come yet.


@pytest.mark.parametrize("fields", [{}, {"temperature": 1.0}, {"temperature": 1.0, "top_k": 3}])
def test_a_masked_token_is_never_sampled(fields):
    logits = logits_of(1).expand(200, -1)
    best = sorted(range(VOCABULARY), key=lambda token_id: -float(logits[0, token_id]))
    rows = [row(n, masked_ids=set(best[:3]), **fields) for n in range(200)]
    assert not set(ids(sample(logits, rows))) & set(best[:3])
    assert ids(sample(logits, [row(seed=n) for n in range(200)])) == [best[0]] * 200


def test_a_mask_does_not_change_the_other_rows():
    logits = logits_of(2)
    rows = [row(7, temperature=1.0), row(7, masked_ids=range(20), temperature=1.0)]
    together = ids(sample(logits, rows))
    assert together == [ids(sample(logits[n : n + 1], rows[n : n + 1]))[0] for n in range(2)]
    assert together[1] >= 20


def test_a_mask_gives_way_where_the_grammar_allows_nothing_else():
    rows = [
        row(allowed=mask_of([5]), masked_ids={5, 6}),
        row(allowed=mask_of([5, 9]), masked_ids={5, 6}),
    ]
    assert ids(sample(logits_of(2), rows)) == [5, 9]


def test_masked_ids_outside_the_vocabulary_are_left_out():
    logits = logits_of(1)
    assert ids(sample(logits, [row(masked_ids={VOCABULARY + 5})])) == ids(sample(logits, [row()]))
