"""Cost and choice: tables of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import NoEndpointReady, Overloaded
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import cost, policy
from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.fleet import Endpoint
from flamingo_router.balancing.policy import POLICIES, Offer

CAPTIONS = "/v1/audio/captions"


def load(**measured):
    return LoadReport(
        model="m",
        state="ready",
        epoch="1",
        sequence=1,
        backlog_s=0,
        num_running=0,
        num_waiting=0,
        **measured,
    )


def offer(address, *, backlog_s=0.0, cost_s=1.0, is_ready=True, is_known=True):
    return Offer(Endpoint(address, is_ready, is_known, backlog_s), Cost(cost_s, 0.0))


def choose(offers, *, max_backlog_s, name="least-work-left", roll=lambda: 0.5):
    return policy.choose(offers, policy=POLICIES[name](), max_backlog_s=max_backlog_s, roll=roll)


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        pytest.param([offer("a", backlog_s=9), offer("b", backlog_s=1)], "b", id="least left"),
        pytest.param(
            [offer("a", is_ready=False), offer("b", backlog_s=99)], "b", id="only ready ones"
        ),
        pytest.param(
            [offer("a", is_known=False), offer("b", backlog_s=99)],
            "b",
            id="silence is not idleness",
        ),
        pytest.param(
            [offer("a", is_known=False, backlog_s=2), offer("b", is_known=False)],
            "b",
            id="unknown ones by our own tickets",
        ),
        pytest.param(
            [offer("a", is_known=False), offer("b", backlog_s=101)],
            "a",
            id="unknown before too full",
        ),
        pytest.param(
            [offer("a", cost_s=9), offer("b", backlog_s=3, cost_s=1)], "b", id="a slow pod waits"
        ),
        pytest.param([offer("a", backlog_s=100)], "a", id="the ceiling itself is allowed"),
    ],
)
def test_the_request_goes_where_it_is_done_first(offers, expected):
    assert choose(offers, max_backlog_s=100).endpoint.address == expected


@pytest.mark.parametrize("offers", [[], [offer("a", is_ready=False)]], ids=["none", "none ready"])
def test_a_fleet_with_nothing_ready_says_so(offers):
    with pytest.raises(NoEndpointReady) as told:
        choose(offers, max_backlog_s=100)
    assert told.value.retry_after_s > 0


def test_a_full_fleet_says_when_to_come_back():
    with pytest.raises(Overloaded) as told:
        choose([offer("a", backlog_s=130), offer("b", backlog_s=107)], max_backlog_s=100)
    assert told.value.retry_after_s == 7


def test_a_full_fleet_never_says_to_come_back_at_once():
    with pytest.raises(Overloaded) as told:
        choose([offer("a", backlog_s=100.01)], max_backlog_s=100)
    assert told.value.retry_after_s == 1


def cost_s(route, audio_s, load=None):
    work = cost.Work(cost.windows_of(audio_s), cost.SHAPES.get(route, cost.NO_SHAPE).num_tokens)
    return cost.prior(route, load).cost(work).total_s


def test_longer_audio_costs_more_by_whole_windows():
    costs = [cost_s(CAPTIONS, seconds) for seconds in (0, 5, 30, 31, 1200)]

    assert costs == sorted(costs)
    assert costs[1] == costs[2] < costs[3]


def test_a_pod_is_charged_at_its_own_speed():
    slow = load(window_s=1.0, token_s=0.1)

    assert cost_s(CAPTIONS, 60, slow) == pytest.approx(cost.BASE_S + 2 * 1.0 + 200 * 0.1)
    assert cost_s(CAPTIONS, 60, load()) == cost_s(CAPTIONS, 60)


def test_an_embedding_costs_less_than_a_caption():
    assert cost_s("/v1/audio/embeddings", 60) < cost_s(CAPTIONS, 60)


def test_words_without_audio_cost_their_tokens():
    no_windows = cost_s("/v1/chat/completions", 0)

    assert no_windows == pytest.approx(cost.BASE_S + 256 * cost.PRIOR_TOKEN_S)


def test_a_route_that_does_no_work_costs_nothing():
    assert cost_s("/v1/models", 0) == 0


OFFERS = st.lists(
    st.builds(
        offer,
        st.sampled_from("abcdef"),
        backlog_s=st.floats(0, 200),
        cost_s=st.floats(0, 50),
        is_ready=st.booleans(),
        is_known=st.booleans(),
    ),
    max_size=6,
)


@given(OFFERS)
def test_what_is_chosen_is_ready_and_under_the_ceiling(offers):
    try:
        chosen = choose(offers, max_backlog_s=100)
    except NoEndpointReady:
        assert not any(each.endpoint.is_ready for each in offers)
    except Overloaded:
        assert all(each.endpoint.backlog_s > 100 for each in offers if each.endpoint.is_ready)
    else:
        assert chosen.endpoint.is_ready
        assert chosen.endpoint.backlog_s <= 100


@given(OFFERS)
def test_the_choice_does_not_depend_on_the_order(offers):
    def chosen(some):
        try:
            best = choose(some, max_backlog_s=100)
        except (NoEndpointReady, Overloaded) as error:
            return error.code
        return pytest.approx(best.finished_s, abs=0.002)

    assert chosen(offers) == chosen(offers[::-1])
