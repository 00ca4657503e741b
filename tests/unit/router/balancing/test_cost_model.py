"""What a request costs, learned from what pods say: right under noise, sane whatever they say."""

import random

import pytest
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo_common.wire.report import MAX_TIMINGS, LoadReport, RequestTiming
from flamingo_router.balancing import cost
from flamingo_router.balancing.cost import Rates, Work
from flamingo_router.balancing.cost_model import CostModel
from flamingo_router.balancing.regression import MAX_FACTOR, Regression

CAPTIONS = "/v1/audio/captions"
PRIOR = Rates(0.01, 0.03, 0.005)
A_LAPTOP = Rates(0.2, 1.5, 0.08)
AN_H200 = Rates(0.02, 0.021, 0.0009)


def some_work(dice):
    return Work(dice.choice([0, 1, 1, 1, 2, 5, 8, 20, 40]), dice.randint(1, 600))


def taught(truth, *, seed, num=600, noise=0.1, outliers=0.05):
    dice, learned = random.Random(seed), Regression(PRIOR)
    for _ in range(num):
        work = some_work(dice)
        seconds = truth.cost(work).total_s * dice.lognormvariate(0, noise)
        if dice.random() < outliers:
            seconds *= dice.choice([0.01, 10, 100])
        learned.learn(work, seconds)
    return learned.rates


@pytest.mark.parametrize("truth", [A_LAPTOP, AN_H200], ids=["a laptop", "an H200"])
@pytest.mark.parametrize("seed", range(5))
def test_true_costs_are_found_under_noise_and_outliers(truth, seed):
    found = taught(truth, seed=seed)

    for work in (Work(1, 200), Work(8, 200), Work(40, 200), Work(1, 20), Work(0, 256)):
        expected_s = truth.cost(work).total_s
        assert found.cost(work).total_s == pytest.approx(expected_s, rel=0.2)


def test_a_change_is_followed():
    dice, learned = random.Random(1), Regression(PRIOR)
    for truth in (AN_H200, A_LAPTOP):
        for _ in range(800):
            work = some_work(dice)
            learned.learn(work, truth.cost(work).total_s)

    assert learned.rates.cost(Work(8, 200)).total_s == pytest.approx(
        A_LAPTOP.cost(Work(8, 200)).total_s, rel=0.1
    )


def test_what_is_never_seen_stays_as_it_was():
    dice, learned = random.Random(1), Regression(PRIOR)
    for _ in range(5000):  # a fleet that is only asked for embeddings has no tokens
        learned.learn(Work(dice.randint(1, 40), 0), 1.0)
    assert learned.rates.token_s == pytest.approx(PRIOR.token_s)


SECONDS = st.one_of(
    st.floats(0, 1e308), st.sampled_from([0.0, 1e-300, 5e-324, 1e300, float("inf"), float("nan")])
)
HUGE = st.one_of(st.integers(0, 100), st.integers(0, 10**18))


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(HUGE, HUGE, SECONDS), max_size=60), HUGE, HUGE)
def test_whatever_is_reported_a_cost_is_finite_and_never_negative(reported, windows, tokens):
    learned = Regression(PRIOR)
    for num_windows, num_tokens, seconds in reported:
        learned.learn(Work(num_windows, num_tokens), seconds)

    rates = learned.rates
    for rate, prior in ((rates.window_s, PRIOR.window_s), (rates.token_s, PRIOR.token_s)):
        assert 0 <= rate <= MAX_FACTOR * prior * 1.001
    assert 0 <= rates.cost(Work(windows % 41, tokens % 4096)).total_s < 1e6


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.tuples(HUGE, HUGE, SECONDS), min_size=50, max_size=200))
def test_after_nonsense_the_truth_is_found_again(nonsense):
    dice, learned = random.Random(1), Regression(PRIOR)
    for num_windows, num_tokens, seconds in nonsense:
        learned.learn(Work(num_windows, num_tokens), seconds)
    for _ in range(1500):
        work = some_work(dice)
        learned.learn(work, AN_H200.cost(work).total_s)

    for work in (Work(1, 200), Work(40, 200)):
        found_s = learned.rates.cost(work).total_s
        assert found_s == pytest.approx(AN_H200.cost(work).total_s, rel=0.3)


def load(timings=(), *, epoch="1", model="m"):
    return LoadReport(
        model=model,
        state="ready",
        epoch=epoch,
        sequence=1,
        backlog_s=0,
        num_running=0,
        num_waiting=0,
        timings=list(timings),
    )


def timing(number, *, seconds=1.0, windows=1, tokens=100, route=CAPTIONS):
    return RequestTiming(
        number=number, route=route, num_windows=windows, num_tokens=tokens, compute_s=seconds
    )


def timings(truth, num, *, first=0, slowness=1.0, seed=1):
    dice = random.Random(seed)
    for number in range(first, first + num):
        work = some_work(dice)
        seconds = truth.cost(work).total_s * slowness
        yield timing(number, seconds=seconds, windows=work.num_windows, tokens=work.num_tokens)


def reports(truth, num, **options):
    some = list(timings(truth, num, **options))
    for at in range(0, num, 8):
        yield load(some[max(0, at + 8 - MAX_TIMINGS) : at + 8])  # each tells the last few again


def test_each_timing_is_learned_once_and_again_after_a_restart():
    costs = CostModel()
    for _ in range(100):
        costs.observe("a", load([timing(number) for number in range(7)]))
    assert costs.learned(CAPTIONS, "m") is None

    costs.observe("a", load([timing(0)], epoch="2"))
    assert costs.learned(CAPTIONS, "m") is not None


def test_pods_of_one_model_learn_together_and_routes_apart():
    costs = CostModel()
    for address in "ab":
        for report in reports(A_LAPTOP, 80, seed=ord(address)):
            costs.observe(address, report)

    found_s = costs.learned(CAPTIONS, "m").cost(Work(8, 200)).total_s
    assert found_s == pytest.approx(A_LAPTOP.cost(Work(8, 200)).total_s, rel=0.1)
    assert costs.learned("/v1/chat/completions", "m") is None
    assert costs.learned(CAPTIONS, "other") is None


def test_a_pod_that_takes_longer_than_its_class_is_known_by_its_factor():
    costs = CostModel()
    for first in range(0, 400, 8):
        for address, slowness in (("a", 1), ("b", 1), ("c", 1), ("slow", 3)):
            some = timings(AN_H200, 8, first=first, slowness=slowness, seed=first)
            costs.observe(address, load(some))

    assert costs.speed("slow") / costs.speed("a") == pytest.approx(3, rel=0.2)
    assert costs.speed("never seen") == 1

    costs.forgive("slow")
    assert costs.speed("slow") == 1


def test_answers_are_expected_as_long_as_they_were_and_no_longer_than_they_may():
    costs = CostModel()
    assert costs.num_tokens(CAPTIONS, "m") == cost.SHAPES[CAPTIONS].num_tokens
    for number in range(200):
        costs.observe("a", load([timing(number, tokens=50)]))

    assert costs.num_tokens(CAPTIONS, "m") == pytest.approx(50)
    assert costs.num_tokens(CAPTIONS, "m", max_tokens=16) == 16
    assert costs.num_tokens(CAPTIONS, "m", max_tokens=500) == pytest.approx(50)


def test_routes_and_models_without_end_fill_no_memory():
    costs = CostModel()
    for number in range(2000):
        told = [timing(number), timing(number, route=f"/v1/{number}")]
        costs.observe("a", load(told, model=f"m{number}"))

    assert len(costs._routes) < 500


def test_a_pod_that_is_gone_is_forgotten():
    costs = CostModel()
    costs.observe("a", load([timing(1)]))
    costs.forget("a")
    assert costs.speed("a") == 1
    costs.forget("a")
