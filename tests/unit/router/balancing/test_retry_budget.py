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
    acquired = sum(budget.try_acquire(num_pods=num_pods, now_s=0) for _ in range(200))
    assert acquired == expected

    budget.release()
    assert budget.try_acquire(num_pods=num_pods, now_s=0)
    assert not budget.try_acquire(num_pods=num_pods, now_s=0)


def test_all_requests_of_one_pod_are_retried_however_late_its_loss_is_noticed():
    budget = RetryBudget()
    budget.observe(36, now_s=0)
    budget.cover(12, now_s=100)
    budget.cover(5, now_s=101)  # a second pod at the same time: the fleet is unhealthy

    assert sum(budget.try_acquire(num_pods=3, now_s=101) for _ in range(36)) == 12


def test_a_loss_is_covered_for_a_while_only():
    budget = RetryBudget()
    budget.cover(12, now_s=100)
    assert sum(budget.try_acquire(num_pods=3, now_s=120) for _ in range(36)) == 3
