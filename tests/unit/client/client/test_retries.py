"""Which errors are retried, and after how long."""

import pytest

from flamingo.client import retries
from flamingo.client.failures import CannotConnect, TimedOut
from flamingo_common import errors


@pytest.mark.parametrize(
    ("error", "num_failures", "should_retry"),
    [
        pytest.param(errors.Overloaded("busy"), 1, True, id="overloaded"),
        pytest.param(CannotConnect("down"), 2, True, id="second connection failure"),
        pytest.param(CannotConnect("down"), 3, False, id="third connection failure"),
        pytest.param(errors.InvalidAudio("noise"), 1, False, id="invalid audio"),
        pytest.param(errors.InternalError("bug"), 1, False, id="internal error"),
        pytest.param(TimedOut("slow"), 1, False, id="read timeout"),
    ],
)
def test_only_transient_errors_are_retried(error, num_failures, should_retry):
    decision = retries.should_retry(error, num_failures=num_failures, max_retries=2)

    assert decision is should_retry


@pytest.mark.parametrize(
    ("retry_after_s", "num_failures", "fraction", "delay_s"),
    [
        pytest.param(1.5, 1, 0.9, 1.5, id="Retry-After, without jitter"),
        pytest.param(3600.0, 1, 0.0, 60, id="Retry-After above the maximum"),
        pytest.param(0.0, 1, 0.0, 0, id="Retry-After 0"),
        pytest.param(None, 1, 0.0, 0.5, id="first"),
        pytest.param(None, 3, 0.0, 2.0, id="third"),
        pytest.param(None, 9, 0.0, 8.0, id="maximum"),
        pytest.param(None, 1, 1.0, 0.375, id="jitter removes at most a quarter"),
    ],
)
def test_delay_before_the_next_attempt(retry_after_s, num_failures, fraction, delay_s):
    error = errors.Overloaded("busy", retry_after_s=retry_after_s)

    delay = retries.retry_delay_s(error, num_failures=num_failures, random_fraction=fraction)

    assert delay == delay_s
