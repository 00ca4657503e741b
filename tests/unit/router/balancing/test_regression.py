"""The cost regression: right under noise, and sane whatever pods report."""

import random

import pytest
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo_router.balancing.cost import Rates, Work
from flamingo_router.balancing.regression import MAX_FACTOR, Regression

PRIOR = Rates(0.01, 0.03, 0.005)
A_LAPTOP = Rates(0.2, 1.5, 0.08)
AN_H200 = Rates(0.02, 0.021, 0.0009)


def some_work(rng):
    return Work(rng.choice([0, 1, 1, 1, 2, 5, 8, 20, 40]), rng.randint(1, 600))


def rates_learned(truth, *, seed, num=600, noise=0.1, outliers=0.05):
    rng, regression = random.Random(seed), Regression(PRIOR)
    for _ in range(num):
        work = some_work(rng)
        seconds = truth.cost(work).total_s * rng.lognormvariate(0, noise)
        if rng.random() < outliers:
            seconds *= rng.choice([0.01, 10, 100])
        regression.learn(work, seconds)
    return regression.rates


@pytest.mark.parametrize("truth", [A_LAPTOP, AN_H200], ids=["a laptop", "an H200"])
@pytest.mark.parametrize("seed", range(5))
def test_true_costs_are_found_under_noise_and_outliers(truth, seed):
    found = rates_learned(truth, seed=seed)

    for work in (Work(1, 200), Work(8, 200), Work(40, 200), Work(1, 20), Work(0, 256)):
        expected_s = truth.cost(work).total_s
        assert found.cost(work).total_s == pytest.approx(expected_s, rel=0.2)


def test_a_change_is_followed():
    rng, regression = random.Random(1), Regression(PRIOR)
    for truth in (AN_H200, A_LAPTOP):
        for _ in range(800):
            work = some_work(rng)
            regression.learn(work, truth.cost(work).total_s)

    assert regression.rates.cost(Work(8, 200)).total_s == pytest.approx(
        A_LAPTOP.cost(Work(8, 200)).total_s, rel=0.1
    )


def test_a_coefficient_without_samples_stays_at_its_prior():
    rng, regression = random.Random(1), Regression(PRIOR)
    for _ in range(5000):  # a fleet that is only asked for embeddings has no tokens
        regression.learn(Work(rng.randint(1, 40), 0), 1.0)
    assert regression.rates.token_s == pytest.approx(PRIOR.token_s)


SECONDS = st.one_of(
    st.floats(0, 1e308), st.sampled_from([0.0, 1e-300, 5e-324, 1e300, float("inf"), float("nan")])
)
HUGE = st.one_of(st.integers(0, 100), st.integers(0, 10**18))


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(HUGE, HUGE, SECONDS), max_size=60), HUGE, HUGE)
def test_whatever_is_reported_a_cost_is_finite_and_never_negative(reported, windows, tokens):
    regression = Regression(PRIOR)
    for num_windows, num_tokens, seconds in reported:
        regression.learn(Work(num_windows, num_tokens), seconds)

    rates = regression.rates
    for rate, prior in ((rates.window_s, PRIOR.window_s), (rates.token_s, PRIOR.token_s)):
        assert 0 <= rate <= MAX_FACTOR * prior * 1.001
    assert 0 <= rates.cost(Work(windows % 41, tokens % 4096)).total_s < 1e6


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.tuples(HUGE, HUGE, SECONDS), min_size=50, max_size=200))
def test_the_truth_is_found_again_after_nonsense(nonsense):
    rng, regression = random.Random(1), Regression(PRIOR)
    for num_windows, num_tokens, seconds in nonsense:
        regression.learn(Work(num_windows, num_tokens), seconds)
    for _ in range(1500):
        work = some_work(rng)
        regression.learn(work, AN_H200.cost(work).total_s)

    assert_found(regression, rel=0.5)


def assert_found(regression, *, rel):
    for work in (Work(1, 200), Work(40, 200)):
        found_s = regression.rates.cost(work).total_s
        assert found_s == pytest.approx(AN_H200.cost(work).total_s, rel=rel)


@pytest.mark.parametrize("sizes", [(1, 10**18), (10**18, 1), (0, 10**18), (10**18, 0), (0, 93)])
@pytest.mark.parametrize("seconds", [0.0, 1e-3, 1.0, 1e300])
def test_the_truth_is_found_again_after_requests_of_absurd_size(sizes, seconds):
    rng, regression = random.Random(1), Regression(PRIOR)
    for number in range(200):
        regression.learn(Work(*sizes), seconds if number % 4 else 0.0)
    for _ in range(1500):
        work = some_work(rng)
        regression.learn(work, AN_H200.cost(work).total_s)
    assert_found(regression, rel=0.3)
