"""Tests that need the extra `measure`, which is not installed everywhere."""

import pytest

from flamingo_pod.measurement import availability

needs_measure = pytest.mark.skipif(
    not availability.is_installed(), reason="the extra `measure` is not installed"
)
