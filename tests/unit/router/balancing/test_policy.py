"""The policies: which offer is chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import NoEndpointReady, Overloaded
from flamingo_router.balancing import policy
from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.endpoint import Endpoint
from flamingo_router.balancing.policy import POLICIES, Offer

CAPTIONS = "/v1/audio/captions"


def offer(address, *, backlog_s=0.0, cost_s=1.0, is_ready=True, is_known=True):
    return Offer(Endpoint(address, is_ready, is_known, backlog_s), Cost(cost_s, 0.0))


class FixedRandom:
    def random(self):
        return 0.5

    def sample(self, population, k):
        return population[:k]


def choose(offers, *, max_backlog_s, name="least-work-left"):
    return policy.choose(
        offers, policy=POLICIES[name](), max_backlog_s=max_backlog_s, rng=FixedRandom()
    )


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
            id="no report does not mean idle",
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
        pytest.param([offer("a", backlog_s=100)], "a", id="the limit itself is allowed"),
    ],
)
def test_a_request_goes_where_it_finishes_first(offers, expected):
    assert choose(offers, max_backlog_s=100).endpoint.address == expected


@pytest.mark.parametrize("offers", [[], [offer("a", is_ready=False)]], ids=["none", "none ready"])
def test_a_fleet_without_a_ready_pod_refuses(offers):
    with pytest.raises(NoEndpointReady) as refused:
        choose(offers, max_backlog_s=100)
    assert refused.value.retry_after_s > 0


def test_a_fleet_at_capacity_states_when_to_retry():
    with pytest.raises(Overloaded) as refused:
        choose([offer("a", backlog_s=130), offer("b", backlog_s=107)], max_backlog_s=100)
    assert refused.value.retry_after_s == 7


def test_a_fleet_at_capacity_never_asks_for_an_immediate_retry():
    with pytest.raises(Overloaded) as refused:
        choose([offer("a", backlog_s=100.01)], max_backlog_s=100)
    assert refused.value.retry_after_s == 1


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
def test_what_is_chosen_is_ready_and_within_the_backlog_limit(offers):
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
