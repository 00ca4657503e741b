"""The retry budget."""

import pytest

from flamingo_router.balancing.retry_budget import RetryBudget


@pytest.mark.parametrize(
    ("num_in_flight", "num_pods", "expected"), [(0, 9, 3), (100, 9, 20), (16, 2, 8)]
)
def test_retries_are_limited_by_a_share_of_the_requests_in_flight(
    num_in_flight, num_pods, expected
):
    budget = RetryBudget()
    budget.observe(num_in_flight, now_s=0)
    acquired = sum(budget.try_acquire(num_pods=num_pods) for _ in range(200))
    assert acquired == expected

    budget.release()
    assert budget.try_acquire(num_pods=num_pods)
    assert not budget.try_acquire(num_pods=num_pods)
