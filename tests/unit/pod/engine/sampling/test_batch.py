"""A batch's arrays: rows in the order of their groups, and places in their scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.sampling.batch import SamplingBatch, SamplingInput
from flamingo_pod.engine.sampling.state import Group, SamplingState
from flamingo_pod.engine.scheduling.sequence import SamplingParams

VOCABULARY = 2000
KINDS = {
    Group.ARGMAX: {},
    Group.GREEDY: {"logit_bias": {5: 1.0}},
    Group.SORTED: {"temperature": 1.0, "top_p": 0.5},
    Group.WIDE: {"temperature": 1.0, "top_k": 1500},
    Group.UNSORTED: {"temperature": 1.0, "logit_bias": {5: 1.0}},
    Group.PLAIN: {"temperature": 1.0},
}


def input_of(fields, **others):
    params = SamplingParams(max_tokens=9, **fields)
    state = SamplingState.create(params, 3, prompt_ids=(), vocabulary_size=VOCABULARY)
    return SamplingInput(state, **({"output_ids": []} | others))


def batch_of(*inputs):
    return SamplingBatch.create(inputs, VOCABULARY)


def mask_of(*allowed):
    bits = np.zeros(-(-VOCABULARY // 32) * 32, np.uint8)
    bits[list(allowed)] = 1
    return np.packbits(bits, bitorder="little").view(np.int32)


@given(st.lists(st.sampled_from(Group), max_size=12))
def test_rows_are_in_the_order_of_their_groups(groups):
    batch = batch_of(*[input_of(KINDS[group]) for group in groups])
    scored = [n for n, group in enumerate(groups) if group > Group.PLAIN]
    assert list(batch.sizes) == [groups.count(group) for group in Group]
    assert batch.arrays.order.tolist() == sorted(scored, key=lambda n: groups[n])
    assert batch.num_scores == len(scored)
    assert len(batch.arrays.keys) == batch.num_random
    assert len(batch.arrays.top_p) == batch.sizes[Group.SORTED] + batch.sizes[Group.WIDE]


def test_places_are_those_of_the_rows_scores():
    random, greedy = (
        input_of({"temperature": 1.0, "top_k": 3}),
        input_of({"logit_bias": {7: 1.0, 9: -1.0}}),
    )
    batch = batch_of(random, input_of({}), greedy)
    assert batch.arrays.order.tolist() == [2, 0]
    assert batch.arrays.edit_places.tolist() == [7, 9]
    batch = batch_of(greedy, input_of({}), input_of({"logit_bias": {8: 1.0}}))
    assert batch.arrays.edit_places.tolist() == [7, 9, VOCABULARY + 8]


def test_a_grammar_or_a_mask_needs_scores():
    batch = batch_of(
        input_of({}), input_of({}, allowed=mask_of(1, 9)), input_of({}, masked_ids={4, -1, 10**12})
    )
    assert batch.arrays.order.tolist() == [1, 2]
    assert batch.arrays.grammar_rows.tolist() == [0]
    allowed = np.unpackbits(batch.arrays.grammar_bits[0], bitorder="little")
    assert allowed.nonzero()[0].tolist() == [1, 9]
    assert batch.arrays.mask_places.tolist() == [VOCABULARY + 4]
    assert batch.arrays.mask_rows.tolist() == [1]


def test_grammars_are_in_the_order_of_the_scores():
    random = input_of(KINDS[Group.PLAIN], allowed=mask_of(1))
    batch = batch_of(random, input_of({}), input_of({}, allowed=mask_of(2)))
    assert batch.arrays.order.tolist() == [2, 0]
    assert batch.arrays.grammar_rows.tolist() == [0, 1]
    bits = np.unpackbits(batch.arrays.grammar_bits, axis=1, bitorder="little")
    assert bits.nonzero()[1].tolist() == [2, 1]


def test_a_grammar_makes_a_wide_row_a_sorted_one():
    batch = batch_of(input_of(KINDS[Group.WIDE], allowed=mask_of(1)))
    assert batch.sizes[Group.SORTED] == 1


def test_unread_tokens_move_the_position():
    read = batch_of(input_of(KINDS[Group.UNSORTED], output_ids=[1, 2, 3]))
    ahead = batch_of(input_of(KINDS[Group.UNSORTED], output_ids=[1, 2], num_unread=1))
    assert read.arrays.keys.tolist() == ahead.arrays.keys.tolist()


def test_only_sorted_rows_are_provisional():
    inputs = [input_of(KINDS[group]) for group in reversed(Group)]
    assert batch_of(*inputs).provisional_rows.tolist() == [2]
    small = [input_of({"temperature": 1.0, "top_p": 0.5})]
    assert SamplingBatch.create(small, 1024).provisional_rows.tolist() == []


def test_the_rows_with_logprobs_are_listed():
    batch = batch_of(input_of({}), input_of({"num_logprobs": 0}), input_of({"num_logprobs": 5}))
    assert batch.arrays.logprob_rows.tolist() == [1, 2]
    assert list(batch.num_logprobs) == [0, 5]
