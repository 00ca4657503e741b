"""Which requests a pod admits, and the errors of those that it rejects."""

import math

import pytest

from flamingo_common.errors import DeadlineExceeded, Overloaded
from flamingo_pod.admission_policy import (
    AdmissionLimits,
    PodLoad,
    choices_rejection,
    request_rejection,
)

LIMITS = AdmissionLimits(max_concurrent_answers=4, max_backlog_s=100.0)


def rejection(num_answers=0, backlog_s=0.0, until_deadline_s=math.inf):
    load = PodLoad(num_answers, backlog_s)
    return request_rejection(LIMITS, load, until_deadline_s=until_deadline_s)


def test_a_request_is_admitted_up_to_each_limit():
    assert rejection(num_answers=3, backlog_s=100.0, until_deadline_s=100.0) is None
    assert rejection(backlog_s=100.0) is None, "most requests have no deadline"


def test_too_many_answers_are_rejected_until_the_backlog_is_done():
    error = rejection(num_answers=4, backlog_s=30.0)
    assert isinstance(error, Overloaded)
    assert "4 answers are in flight (limit: 4)" in str(error)
    assert error.retry_after_s == 30.0


def test_too_much_work_is_rejected_until_the_excess_is_done():
    error = rejection(backlog_s=130.0)
    assert isinstance(error, Overloaded)
    assert "130 s of work is queued (limit: 100 s)" in str(error)
    assert error.retry_after_s == 30.0


def test_a_deadline_that_the_backlog_exceeds_is_rejected_at_once():
    assert rejection(backlog_s=30.0, until_deadline_s=60.0) is None
    error = rejection(backlog_s=90.0, until_deadline_s=60.0)
    assert isinstance(error, DeadlineExceeded)
    assert str(error) == "90.0 s of work is queued ahead; the deadline cannot be met"


@pytest.mark.parametrize(
    ("num_answers", "num_choices", "is_admitted"),
    [
        pytest.param(1, 4, True, id="all of an idle pod"),
        pytest.param(1, 5, False, id="more than the pod's maximum"),
        pytest.param(3, 2, True, id="the last places"),
        pytest.param(3, 3, False, id="one too many"),
        pytest.param(9, 1, True, id="a single choice was admitted before"),
    ],
)
def test_the_choices_of_an_admitted_request_count(num_answers, num_choices, is_admitted):
    error = choices_rejection(LIMITS, PodLoad(num_answers, 7.0), num_choices)
    assert (error is None) is is_admitted
    if error is not None:
        assert isinstance(error, Overloaded)
        assert f"with {num_choices} choices" in str(error)
        assert error.retry_after_s == 7.0
