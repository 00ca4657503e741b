"""The cost of a request, before anything was learned."""

import pytest
from fakes.balancing import load_report

from flamingo_router.balancing import cost

CAPTIONS = "/v1/audio/captions"


def cost_s(route, audio_s, load=None):
    work = cost.Work(
        cost.windows_of(audio_s), cost.ROUTE_PROFILES.get(route, cost.NO_PROFILE).num_tokens
    )
    return cost.prior(route, load).cost(work).total_s


def test_longer_audio_costs_more_by_whole_windows():
    costs = [cost_s(CAPTIONS, seconds) for seconds in (0, 5, 30, 31, 1200)]

    assert costs == sorted(costs)
    assert costs[1] == costs[2] < costs[3]


def test_a_pods_own_measurements_replace_the_prior():
    slow = load_report(window_s=1.0, token_s=0.1)

    assert cost_s(CAPTIONS, 60, slow) == pytest.approx(cost.BASE_S + 2 * 1.0 + 200 * 0.1)
    assert cost_s(CAPTIONS, 60, load_report()) == cost_s(CAPTIONS, 60)


def test_an_embedding_costs_less_than_a_caption():
    assert cost_s("/v1/audio/embeddings", 60) < cost_s(CAPTIONS, 60)


def test_text_without_audio_costs_its_tokens():
    no_windows = cost_s("/v1/chat/completions", 0)

    assert no_windows == pytest.approx(cost.BASE_S + 256 * cost.PRIOR_TOKEN_S)


def test_a_route_that_does_no_work_costs_nothing():
    assert cost_s("/v1/models", 0) == 0
