"""Parameters with the values that other servers take, on a real pod."""

import pytest

CHAT = {"messages": [{"role": "user", "content": "Name a genre."}], "max_tokens": 8}
HOT = {"temperature": 1.5, "top_p": 1}


def text(http, **fields):
    answer = http.post("/v1/chat/completions", json=CHAT | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def texts(http, num, **fields):
    return {text(http, **fields) for _ in range(num)}


def test_a_seed_of_minus_one_is_none(http):
    assert len(texts(http, 4, seed=-1, **HOT)) > 1


@pytest.mark.parametrize("seed", [-2, -(2**63), 0, 2**63 - 1])
def test_any_other_seed_repeats_the_answer(http, seed):
    assert len(texts(http, 2, seed=seed, **HOT)) == 1


def test_seeds_that_differ_in_their_sign_differ_in_their_answer(http):
    assert text(http, seed=-7, **HOT) != text(http, seed=7, **HOT)


def test_a_top_p_of_zero_is_greedy(http):
    assert texts(http, 3, temperature=2, top_p=0) == {text(http, temperature=0)}


@pytest.mark.parametrize("top_k", [0, -1])
def test_a_top_k_of_zero_or_minus_one_is_off(http, top_k):
    assert text(http, seed=5, top_k=top_k, **HOT) == text(http, seed=5, top_k=2**31 - 1, **HOT)


@pytest.mark.parametrize(
    "fields",
    [{"stop": ""}, {"stop": []}, {"model": ""}, {"logit_bias": {}}, {"n": 1, "best_of": 1}],
    ids=str,
)
def test_an_empty_value_is_unset(http, fields):
    assert text(http, temperature=0, **fields) == text(http, temperature=0)
