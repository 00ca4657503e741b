"""Temperature, top-k, top-p and min-p: which tokens, and how often."""

import math

import pytest
import torch
from engine.sampling.rows import (
    VOCABULARY,
    batch_of,
    counts_of,
    filters,
    launched,
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

from flamingo_pod.engine.sampling.filters import MASS_SCALE, RankedRows
from flamingo_pod.engine.sampling.state import MAX_CANDIDATES, Group


def with_transformers(logits, **fields):
    """Return the probabilities that transformers' own warpers leave, in its order."""
    chain = theirs.LogitsProcessorList([theirs.TemperatureLogitsWarper(fields["temperature"])])
    if fields.get("top_k"):
        chain.append(theirs.TopKLogitsWarper(fields["top_k"]))
    if fields.get("top_p"):
        chain.append(theirs.TopPLogitsWarper(fields["top_p"]))
    if fields.get("min_p"):
        chain.append(theirs.MinPLogitsWarper(fields["min_p"]))
    return chain(None, logits.unsqueeze(0).double()).softmax(-1)[0]


def assert_fits(counts, probabilities):
    """Compare by chi-square, with room of six standard deviations."""
    num_draws = sum(counts.values())
    possible = [i for i, p in enumerate(probabilities.tolist()) if p > 0]
    assert set(counts) <= set(possible)
    expected = {i: float(probabilities[i]) * num_draws for i in possible}
    frequent = [i for i in possible if expected[i] >= 5]
    chi_square = sum((counts[i] - expected[i]) ** 2 / expected[i] for i in frequent)
    free = len(frequent)
    assert chi_square < free + 6 * math.sqrt(2 * free)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_tokens_are_as_frequent_as_softmax_says(temperature):
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, -4.0])
    assert_fits(counts_of(logits, temperature=temperature), (logits / temperature).softmax(-1))


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1.3, "top_k": 4},
        {"temperature": 0.8, "top_p": 0.7},
        {"temperature": 1.0, "min_p": 0.1},
        {"temperature": 1.0, "top_k": 12, "top_p": 0.8, "min_p": 0.05},
    ],
    ids=str,
)
def test_filtered_tokens_are_as_frequent_as_with_transformers(fields):
    logits = logits_of(1)[0]
    assert_fits(counts_of(logits, **fields), with_transformers(logits, **fields))


@settings(max_examples=examples(60), deadline=None)
@given(filters, st.integers(0, 10**6), st.sampled_from([6, 3000]))
def test_the_filters_keep_what_transformers_keeps(fields, seed, vocabulary):
    logits = logits_of(1, vocabulary, seed=seed)[0]
    left = with_transformers(logits, **fields)
    above = {name: value * (1 + 1e-5) for name, value in fields.items() if name != "top_k"}
    below = {name: value * (1 - 1e-5) for name, value in fields.items() if name != "top_k"}
    edges = {torch.count_nonzero(with_transformers(logits, **fields | e)) for e in (above, below)}
    if len({int(edge) for edge in edges}) > 1:
        return  # on the edge, where float32 may fall on either side
    assert torch.equal(kept(logits, **fields), left > 0)


def kept(logits, **fields):
    """Return which tokens any seed may draw: the sampler's own cutoff, widened as it does."""
    scores = (logits - logits.max()).unsqueeze(0) / fields["temperature"]
    batch = batch_of([row(**fields)], len(logits))
    if batch.sizes[Group.PLAIN]:
        return scores[0] >= batch.plain.floor[0]
    if not batch.num_random:
        return scores[0] >= 0
    tensors = tensors_of(batch)
    rows = RankedRows(scores, tensors.keys, tensors.floor, tensors.top_k, tensors.top_p)
    for width in (min(MAX_CANDIDATES, len(logits)), len(logits)):
        top, places = scores.topk(width)
        masses = scores.softmax(-1).gather(1, places).double().mul(MASS_SCALE).long()
        cut, is_whole = rows.cutoff(top, masses)
        if is_whole:
            break
    return scores[0] >= cut[0]


def test_a_nucleus_wider_than_the_candidates_is_still_whole():
    logits = torch.zeros(5000)
    logits[:2500] = 1.0
    counts = counts_of(logits, 4000, temperature=1.0, top_p=0.5)
    assert max(counts) < 2500, "the likelier half holds more than half"
    assert sum(token >= MAX_CANDIDATES for token in counts) > 1000


def test_equal_scores_are_kept_or_dropped_together():
    logits = torch.tensor([1.0, 1.0, 1.0, 0.0])
    assert set(counts_of(logits, 300, temperature=1.0, top_k=2)) == {0, 1, 2}
    assert set(counts_of(logits, 300, temperature=1.0, top_p=0.1)) == {0, 1, 2}


def test_the_few_that_a_grammar_leaves_are_sorted_once():
    masked = row(temperature=1.0, top_k=2000, allowed=mask_of([1, 2], 3000))
    one = launched(logits_of(1, 3000), [masked])
    assert one.provisional.is_whole.all()
    assert one.read()[0].token_id in {1, 2}


def test_more_candidates_than_are_sorted_at_first():
    logits = logits_of(1, 3000, scale=0.01)[0]
    counts = counts_of(logits, 3000, temperature=1.0, top_k=2000)
    assert set(counts) <= set(logits.topk(2000).indices.tolist())
    assert len(counts) > MAX_CANDIDATES


def test_a_filter_that_lets_all_pass_changes_no_choice():
    logits = logits_of(200, seed=3)
    open_ = [row(seed=seed, temperature=1.0) for seed in range(200)]
    for fields in ({"top_k": VOCABULARY}, {"top_k": 10**6}, {"top_p": 1 - 1e-12}, {"top_p": 1.0}):
        rows = [row(seed=seed, temperature=1.0, **fields) for seed in range(200)]
        assert sample(logits, rows) == sample(logits, open_)


def test_bfloat16_samples_from_its_own_values():
    logits = logits_of(1)[0].bfloat16()
    assert_fits(counts_of(logits, temperature=1.0), logits.float().softmax(-1))
