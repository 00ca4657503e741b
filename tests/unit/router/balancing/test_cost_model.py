"""The cost model: what it learns from the timings that pods report."""

import random

import pytest

from flamingo_common.wire.report import MAX_TIMINGS, LoadReport, RequestTiming
from flamingo_router.balancing import cost
from flamingo_router.balancing.cost import Rates, Work
from flamingo_router.balancing.cost_model import MAX_CLASSES, CostModel

CAPTIONS = "/v1/audio/captions"
PRIOR = Rates(0.01, 0.03, 0.005)
A_LAPTOP = Rates(0.2, 1.5, 0.08)
AN_H200 = Rates(0.02, 0.021, 0.0009)


def some_work(rng):
    return Work(rng.choice([0, 1, 1, 1, 2, 5, 8, 20, 40]), rng.randint(1, 600))


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


def timings(truth, num, *, first=0, slowdown=1.0, seed=1):
    rng = random.Random(seed)
    for number in range(first, first + num):
        work = some_work(rng)
        seconds = truth.cost(work).total_s * slowdown
        yield timing(number, seconds=seconds, windows=work.num_windows, tokens=work.num_tokens)


def reports(truth, num, **options):
    some = list(timings(truth, num, **options))
    for at in range(0, num, 8):
        yield load(some[max(0, at + 8 - MAX_TIMINGS) : at + 8])  # each tells the last few again


def test_each_timing_is_learned_once_and_again_after_a_restart():
    costs = CostModel()
    for _ in range(100):
        costs.observe("a", load([timing(number) for number in range(7)]))
    assert costs.learned_rates(CAPTIONS, "m") is None

    costs.observe("a", load([timing(0)], epoch="2"))
    assert costs.learned_rates(CAPTIONS, "m") is not None


def test_pods_of_one_model_learn_together_and_routes_apart():
    costs = CostModel()
    for address in "ab":
        for report in reports(A_LAPTOP, 80, seed=ord(address)):
            costs.observe(address, report)

    found_s = costs.learned_rates(CAPTIONS, "m").cost(Work(8, 200)).total_s
    assert found_s == pytest.approx(A_LAPTOP.cost(Work(8, 200)).total_s, rel=0.1)
    assert costs.learned_rates("/v1/chat/completions", "m") is None
    assert costs.learned_rates(CAPTIONS, "other") is None


def test_a_pod_that_takes_longer_than_its_class_has_a_slowdown_factor():
    costs = CostModel()
    for first in range(0, 400, 8):
        for address, slowdown in (("a", 1), ("b", 1), ("c", 1), ("slow", 3)):
            some = timings(AN_H200, 8, first=first, slowdown=slowdown, seed=first)
            costs.observe(address, load(some))

    assert costs.slowdown("slow") / costs.slowdown("a") == pytest.approx(3, rel=0.2)
    assert costs.slowdown("never seen") == 1

    costs.reset_slowdown("slow")
    assert costs.slowdown("slow") == 1


def test_answers_are_expected_to_be_as_long_as_before():
    costs = CostModel()
    assert costs.num_tokens(CAPTIONS, "m") == cost.ROUTE_PROFILES[CAPTIONS].num_tokens
    for number in range(200):
        costs.observe("a", load([timing(number, tokens=50)]))

    assert costs.num_tokens(CAPTIONS, "m") == pytest.approx(50)


def test_answers_of_one_request_count_one_by_one():
    costs = CostModel()
    for number in range(200):
        several = timing(number, tokens=120).model_copy(update={"num_answers": 4})
        costs.observe("a", load([several]))
    assert costs.num_tokens(CAPTIONS, "m") == pytest.approx(30, rel=0.05)


def test_any_number_of_routes_and_models_fills_no_memory():
    costs = CostModel()
    for number in range(2000):
        some = [timing(number), timing(number, route=f"/v1/{number}")]
        costs.observe("a", load(some, model=f"m{number}"))

    assert len(costs._routes) == MAX_CLASSES * len(cost.ROUTE_PROFILES)


def test_a_removed_pod_is_forgotten():
    costs = CostModel()
    costs.observe("a", load([timing(1)]))
    costs.forget("a")
    assert costs.slowdown("a") == 1
    costs.forget("a")
