"""Exponential backoff: the delay doubles with each failure, up to its maximum."""

import pytest

from flamingo_common.service.backoff import backoff_s


@pytest.mark.parametrize(
    ("num_failures", "delay_s"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (10_000, 30.0)]
)
def test_the_delay_doubles_up_to_its_maximum(num_failures, delay_s):
    assert backoff_s(num_failures, first_s=0.5, max_s=30.0) == delay_s


def test_a_first_delay_above_the_maximum_is_the_maximum():
    assert backoff_s(1, first_s=60.0, max_s=30.0) == 30.0
