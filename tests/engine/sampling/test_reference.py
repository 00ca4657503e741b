"""Whatever the parameters, a row gets the reference's token; and what it got before."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from engine.sampling.reference import reference_token
from engine.sampling.rows import filters, ids, large_batch, logits_of, mask_of, row, sample
from fakes.effort import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flamingo_pod.engine.sampling.results import InvalidLogits

GOLDEN_TOKENS = Path(__file__).with_name("golden_tokens.json")
"""Tokens of `golden_rows`, recorded at commit b28ce73, before sampling became a room."""
VOCABULARIES = (3, 33, 40, 1500)
token_ids = st.lists(st.integers(-2, 50), max_size=12)
factors = st.sampled_from([0.0, 0.7, 1.3, 2.0])
amounts = st.floats(-2, 2)
edits = st.fixed_dictionaries(
    {},
    optional={
        "logit_bias": st.dictionaries(st.integers(-2, 50), st.floats(-100, 100), max_size=5),
        "repetition_penalty": factors,
        "frequency_penalty": amounts,
        "presence_penalty": amounts,
    },
)
seeds = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 9))


@st.composite
def rows(draw, vocabulary):
    fields = draw(filters | st.just({})) | draw(edits | st.just({}))
    if draw(st.booleans()):
        fields["num_logprobs"] = draw(st.integers(0, 20))
    allowed = st.sets(st.integers(0, vocabulary - 1), max_size=9)
    return row(
        draw(seeds),
        draw(token_ids),
        draw(token_ids),
        draw(st.none() | allowed.map(lambda some: mask_of(some, vocabulary))),
        draw(st.just(()) | st.sets(st.integers(-1, 50), max_size=5)),
        **fields,
    )


@st.composite
def batches(draw):
    vocabulary = draw(st.sampled_from(VOCABULARIES))
    some = draw(st.lists(rows(vocabulary), max_size=6))
    scale = draw(st.sampled_from([0.01, 1.0, 5.0]))
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    logits = logits_of(len(some), vocabulary, draw(st.integers(0, 10**6)), scale).to(dtype)
    for n in range(len(some)):
        poison = draw(st.sampled_from([None, None, None, math.nan, math.inf, -math.inf]))
        if poison is not None:
            logits[n, draw(st.integers(0, vocabulary - 1))] = poison
    return logits, some


@settings(max_examples=examples(150), deadline=None)
@given(batches())
def test_every_row_gets_the_token_of_the_reference(batch):
    logits, some = batch
    expected = [reference_token(each, one) for each, one in zip(logits, some, strict=True)]
    tokens = [None if each == InvalidLogits() else each.token_id for each in sample(logits, some)]
    assert tokens == expected


@settings(max_examples=examples(60), deadline=None)
@given(batches())
def test_the_order_of_work_on_a_gpu_gives_the_same_results(batch):
    logits, some = batch
    assume(some)
    assert sample(logits, some, as_on_a_gpu=True) == sample(logits, some)


GOLDEN = [(vocabulary, scale) for vocabulary in (40, 1024, 3000, 20_000) for scale in (0.1, 2.0)]


def golden_rows(vocabulary, scale):
    """Return logits and rows; nothing in them depends on torch's generator."""
    random = np.random.default_rng(vocabulary)
    values = random.standard_normal((48, vocabulary), np.float32) * np.float32(scale)
    return torch.from_numpy(values).bfloat16(), large_batch(48, vocabulary)


@pytest.mark.parametrize(("vocabulary", "scale"), GOLDEN)
def test_rows_get_the_tokens_that_they_got_before(vocabulary, scale):
    golden = json.loads(GOLDEN_TOKENS.read_text())[f"{vocabulary}, scale {scale}"]
    assert ids(sample(*golden_rows(vocabulary, scale))) == golden
