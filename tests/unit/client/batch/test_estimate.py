"""How long a fleet would need."""

import pytest

from flamingo.batch.estimate import BatchWork, PodSpeed, time_s

HOUR = BatchWork(3600.0, 1000)


def test_windows_and_tokens_are_divided_by_all_pods():
    pod = PodSpeed(window_s=0.1, token_s=0.01)
    assert time_s(HOUR, [pod]) == pytest.approx(120 * 0.1 + 1000 * 0.01)
    assert time_s(HOUR, [pod, pod]) == pytest.approx(11.0)


def test_a_pod_that_has_measured_nothing_does_not_count():
    assert time_s(HOUR, [PodSpeed(None, None)]) is None
    assert time_s(HOUR, []) is None
    assert time_s(BatchWork(3600.0, 0), [PodSpeed(0.1, None)]) == pytest.approx(12.0)
