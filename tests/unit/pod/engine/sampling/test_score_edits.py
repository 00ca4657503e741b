"""The edits of a sequence's scores: counted token by token, as if counted anew."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.sampling.score_edits import ScoreEdits
from flamingo_pod.engine.scheduling.sequence import SamplingParams

VOCABULARY = 300
token_ids = st.lists(st.integers(-1, VOCABULARY), max_size=200)


def table(edits):
    """Return bias, factor and amount by token id."""
    rows = zip(edits.ids.tolist(), edits.values.T.tolist(), strict=True)
    return {token_id: tuple(values) for token_id, values in rows}


def edits_of(prompt_ids=(), **fields):
    return ScoreEdits(SamplingParams(max_tokens=9, **fields), prompt_ids, VOCABULARY)


@given(token_ids, token_ids, st.data())
def test_counting_as_tokens_come_is_counting_at_the_end(prompt, output, data):
    fields = {
        "repetition_penalty": 2.0,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.25,
        "logit_bias": {3: 1.5, 4: -8.0},
    }
    edits = edits_of(prompt, **fields)
    for num_known in sorted(data.draw(st.lists(st.integers(0, len(output)), max_size=9))):
        edits.update(output[:num_known])
    edits.update(output)
    counts = Counter(i for i in output if 0 <= i < VOCABULARY)
    seen = {i for i in prompt if 0 <= i < VOCABULARY} | set(counts)
    assert table(edits) == {
        i: (
            fields["logit_bias"].get(i, 0),
            2.0 if i in seen else 1,
            counts[i] * 0.5 + 0.25 if i in counts else 0,
        )
        for i in seen | {3, 4}
    }
    assert len(set(edits.ids.tolist())) == len(edits.ids)


def test_prompt_tokens_count_for_the_repetition_penalty_only():
    assert table(edits_of([7], frequency_penalty=1.0)) == {}
    assert table(edits_of([7], repetition_penalty=1.5)) == {7: (0, 1.5, 0)}


def test_output_tokens_are_not_kept_without_penalties():
    edits = edits_of(logit_bias={5: 1.0})
    edits.update([1, 2, 3])
    assert table(edits) == {5: (1, 1, 0)}


@pytest.mark.parametrize("token_id", [-1, VOCABULARY, 10**12])
def test_tokens_outside_the_vocabulary_are_left_out(token_id):
    edits = edits_of([token_id], repetition_penalty=2.0, logit_bias={token_id: 1.0})
    edits.update([token_id])
    assert table(edits) == {}


def test_a_penalty_of_0_divides_by_something():
    assert edits_of([7], repetition_penalty=0.0).values[1] > 0
