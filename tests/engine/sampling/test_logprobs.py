"""Log-probabilities: the model's own, of the sampled token and of the likeliest."""

import pytest
import torch
from engine.sampling.rows import logits_of, row, sample

from flamingo_pod.engine.sampling.results import SampledToken


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


def test_given_tokens_have_their_logprobs_whatever_is_sampled():
    logits = logits_of(3)
    table = logits.log_softmax(-1)
    rows = [
        row(logprob_token_ids=(3, 9)),
        row(num_logprobs=2),
        row(7, temperature=1.0, logit_bias={1: 5.0}, num_logprobs=1, logprob_token_ids=(0,)),
    ]
    tokens = sample(logits, rows)
    assert tokens[0].token_logprobs == pytest.approx(table[0, [3, 9]].tolist())
    assert tokens[1].token_logprobs == ()
    assert tokens[2].token_logprobs == pytest.approx([float(table[2, 0])])
    assert tokens[2].logprob == pytest.approx(float(table[2, tokens[2].token_id]))
    assert tokens[0].top_logprobs == ()
