"""The sampler: which tokens, how often, and independent of the batch."""

import math
from collections import Counter

import pytest
import torch
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as theirs

from flamingo_pod.engine import sampler
from flamingo_pod.engine.sampler import InvalidLogits, SampledToken, SamplingRow, sample
from flamingo_pod.engine.sequence import SamplingParams

VOCABULARY = 40
NUM_DRAWS = 20_000


def row(seed=0, prompt_ids=(), output_ids=(), allowed=None, **fields):
    params = SamplingParams(max_tokens=64, **fields)
    return SamplingRow(params, seed, list(prompt_ids), list(output_ids), allowed)


def ids(tokens):
    return [token.token_id for token in tokens]


def logits_of(num_rows, vocabulary=VOCABULARY, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_rows, vocabulary, generator=generator) * scale


def mask_of(allowed, vocabulary=VOCABULARY):
    words = [0] * -(-vocabulary // 32)
    for token_id in allowed:
        words[token_id // 32] |= 1 << (token_id % 32)
    return torch.tensor([word - 2**32 if word >> 31 else word for word in words], dtype=torch.int32)


def counts_of(logits, num_draws=NUM_DRAWS, **fields):
    """Return how often each token comes, over as many seeds."""
    rows = [row(seed=seed, **fields) for seed in range(num_draws)]
    return Counter(ids(sample(logits.expand(num_draws, -1), rows)))


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


# The distribution.


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


filters = st.fixed_dictionaries(
    {"temperature": st.floats(0.2, 2)},
    optional={
        "top_k": st.integers(1, 60),
        "top_p": st.floats(0.05, 0.999),
        "min_p": st.floats(0.001, 0.9),
    },
)


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
    limits = sampler._Filters.from_rows([row(**fields)], logits.device)
    for width in (min(sampler.MAX_CANDIDATES, len(logits)), len(logits)):
        top, places = scores.topk(width)
        masses = scores.softmax(-1).gather(1, places).double().mul(sampler.MASS_SCALE).long()
        cut, is_whole = sampler._cutoff(top, masses, limits)
        if is_whole:
            break
    return scores[0] >= cut[0]


def test_a_nucleus_wider_than_the_candidates_is_still_whole():
    logits = torch.zeros(5000)
    logits[:2500] = 1.0
    counts = counts_of(logits, 4000, temperature=1.0, top_p=0.5)
    assert max(counts) < 2500, "the likelier half holds more than half"
    assert sum(token >= sampler.MAX_CANDIDATES for token in counts) > 1000


def test_equal_scores_are_kept_or_dropped_together():
    logits = torch.tensor([1.0, 1.0, 1.0, 0.0])
    assert set(counts_of(logits, 300, temperature=1.0, top_k=2)) == {0, 1, 2}
    assert set(counts_of(logits, 300, temperature=1.0, top_p=0.1)) == {0, 1, 2}


def test_more_candidates_than_are_sorted_at_first():
    logits = logits_of(1, 3000, scale=0.01)[0]
    counts = counts_of(logits, 3000, temperature=1.0, top_k=2000)
    assert set(counts) <= set(logits.topk(2000).indices.tolist())
    assert len(counts) > sampler.MAX_CANDIDATES


def test_a_filter_that_lets_all_pass_changes_no_choice():
    logits = logits_of(200, seed=3)
    open_ = [row(seed=seed, temperature=1.0) for seed in range(200)]
    for fields in ({"top_k": VOCABULARY}, {"top_k": 10**6}, {"top_p": 1 - 1e-12}, {"top_p": 1.0}):
        rows = [row(seed=seed, temperature=1.0, **fields) for seed in range(200)]
        assert sample(logits, rows) == sample(logits, open_)


def test_bfloat16_samples_from_its_own_values():
    logits = logits_of(1)[0].bfloat16()
    assert_fits(counts_of(logits, temperature=1.0), logits.float().softmax(-1))


# Alone and in a batch.


def large_batch(num_rows, vocabulary):
    """Return rows of every kind there is."""
    kinds = [
        {},
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.9},
        {"temperature": 1.2, "top_k": 5, "num_logprobs": 3},
        {"temperature": 1.0, "min_p": 0.1, "repetition_penalty": 1.3},
        {"temperature": 1.0, "frequency_penalty": 0.5, "presence_penalty": 0.2},
        {"logit_bias": {3: 4.0}, "num_logprobs": 20},
        {
            "temperature": 1.0,
            "top_p": 0.95,
            "allowed": mask_of(range(0, vocabulary, 3), vocabulary),
        },
        {"allowed": mask_of(range(5, 30), vocabulary), "repetition_penalty": 0.8},
        {"temperature": 2.0, "top_p": 0.9999},
    ]
    said = list(range(0, vocabulary, 7))
    return [
        row(seed=n, prompt_ids=said[:9], output_ids=said[: n % 11] * 2, **kinds[n % len(kinds)])
        for n in range(num_rows)
    ]


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


# Luck.


def gumbel_noise(seeds=(0,), positions=(0,), num_ids=1000):
    keys = [[sampler._signed(sampler._key(s, p))] for s in seeds for p in positions]
    return sampler.noise(torch.tensor(keys), torch.arange(num_ids)).double()


def uniform(gumbel):
    return (-(-gumbel).exp()).exp()


@pytest.mark.parametrize(
    "shape",
    [
        {"num_ids": 100_000},
        {"seeds": range(100_000), "num_ids": 1},
        {"positions": range(100_000), "num_ids": 1},
        {"seeds": range(300), "positions": range(30), "num_ids": 11},
    ],
    ids=["over tokens", "over seeds", "over positions", "over all"],
)
def test_the_noise_is_uniform(shape):
    values = uniform(gumbel_noise(**shape)).flatten()
    counts = torch.histc(values, 256, 0, 1)
    expected = len(values) / 256
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_square - 255) < 6 * math.sqrt(2 * 255)


@pytest.mark.parametrize("axis", ["seeds", "positions", "num_ids"])
def test_neighbouring_noise_is_uncorrelated(axis):
    shapes = {"seeds": range(1), "positions": range(1), "num_ids": 1}
    wide = {"seeds": range(50_000), "positions": range(50_000), "num_ids": 50_000}
    values = uniform(gumbel_noise(**(shapes | {axis: wide[axis]}))).flatten()
    for lag in (1, 2, 64):
        pair = torch.stack([values[:-lag], values[lag:]])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 6 / math.sqrt(len(values))


def test_pairs_of_neighbours_fill_the_square():
    values = uniform(gumbel_noise(seeds=range(500), num_ids=200))
    pairs = (values[:-1] * 16).long().clamp(max=15) * 16 + (values[1:] * 16).long().clamp(max=15)
    counts = torch.bincount(pairs.flatten(), minlength=256).double()
    expected = float(counts.mean())
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_square - 255) < 6 * math.sqrt(2 * 255)


def test_the_noise_is_always_finite():
    # Words that hash to the least and the most that 53 bits hold.
    values = gumbel_noise(seeds=range(2000), num_ids=1000)
    assert values.isfinite().all()
    assert values.max() > 13, "one in a million is not cut off"


def test_the_noise_is_a_function_of_the_token_id():
    keys = torch.tensor([[sampler._signed(sampler._key(3, 4))]])
    everywhere = sampler.noise(keys, torch.arange(100))[0]
    some = torch.tensor([[77, 3, 50]])
    assert torch.equal(sampler.noise(keys, some)[0], everywhere[some[0]])


# What was asked and what was said.


@pytest.mark.parametrize("penalty", [0.5, 1.1, 2.0])
def test_the_repetition_penalty_is_that_of_transformers(penalty):
    logits, prompt, output = logits_of(1), [1, 5, 5, 9], [7, 9]
    processor = theirs.RepetitionPenaltyLogitsProcessor(penalty)
    expected = processor(torch.tensor([prompt + output]), logits.clone())
    changed = logits.clone()
    sampler._apply_penalties(changed, [row(0, prompt, output, repetition_penalty=penalty)])
    assert torch.equal(changed, expected)


def test_frequency_and_presence_count_output_and_not_prompt_tokens():
    logits = torch.zeros(1, 6)
    fields = {"frequency_penalty": 0.5, "presence_penalty": 0.25}
    sampler._apply_penalties(logits, [row(0, [5, 5, 5], [1, 2, 2, 2], **fields)])
    assert logits[0].tolist() == [0, -0.75, -1.75, 0, 0, 0]


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


def test_the_few_that_a_grammar_leaves_are_sorted_once(monkeypatch):
    widths, draw = [], sampler._sample_sorted
    monkeypatch.setattr(
        sampler, "_sample_sorted", lambda *args: widths.append(args[2:]) or draw(*args)
    )
    masked = row(temperature=1.0, top_k=50, allowed=mask_of([1, 2], 3000))
    assert ids(sample(logits_of(1, 3000), [masked]))[0] in {1, 2}
    assert widths == [()]


def test_a_mask_applies_to_its_own_row_only():
    logits = torch.tensor([[5.0, 4.0], [5.0, 4.0]])
    assert ids(sample(logits, [row(), row(allowed=mask_of([1], 2))])) == [0, 1]


def test_the_vocabularys_last_word_may_be_part_empty():
    logits = logits_of(1, 33)
    assert ids(sample(logits, [row(allowed=mask_of([31, 32], 33))]))[0] in {31, 32}


# SequenceFailed.


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


# Log-probabilities.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logprobs_are_the_models_own_whatever_the_parameters(dtype):
    logits = logits_of(2).to(dtype)
    table = logits.float().log_softmax(-1)
    busy = row(5, [1], [2], temperature=0.5, top_k=9, logit_bias={4: 9.0}, num_logprobs=5)
    for n, token in enumerate(sample(logits, [busy, row(num_logprobs=0)])):
        assert token.logprob == pytest.approx(float(table[n, token.token_id]))
    tokens = sample(logits, [busy, row()])
    values, places = table[0].topk(5)
    assert sorted(dict(tokens[0].top_logprobs)) == sorted(places.tolist())
    assert [value for _, value in tokens[0].top_logprobs] == pytest.approx(values.tolist())
    assert tokens[1] == SampledToken(int(logits[1].argmax()))


def test_no_top_logprobs_unless_requested():
    token = sample(logits_of(1), [row(num_logprobs=0)])[0]
    assert token.top_logprobs == ()
    assert token.logprob is not None


def test_equal_top_logprobs_are_in_order_of_their_ids():
    token = sample(torch.zeros(1, 10), [row(num_logprobs=4)])[0]
    assert len(token.top_logprobs) == 4
    assert [i for i, _ in token.top_logprobs] == sorted(i for i, _ in token.top_logprobs)


def test_top_logprobs_of_a_small_vocabulary_are_all_of_it():
    token = sample(torch.zeros(1, 3), [row(num_logprobs=20)])[0]
    assert len(token.top_logprobs) == 3
