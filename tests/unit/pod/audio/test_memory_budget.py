"""How many bytes a pod holds: counted before they are read, let go whatever happens."""

import contextlib

import pytest

from flamingo_common.errors import Overloaded
from flamingo_pod.audio.memory_budget import MemoryBudget


def test_what_does_not_fit_is_refused_and_says_when_to_come_back():
    held = MemoryBudget(100)
    with held.request() as first, held.request() as second:
        first.reserve(60)
        with pytest.raises(Overloaded, match="holds 60 bytes of audio, and 41 more") as refused:
            second.reserve(41)
        assert refused.value.retry_after_s is not None
        second.reserve(40)
    assert held.num_bytes == 0


def test_a_length_that_was_announced_is_not_counted_again_as_it_comes():
    held = MemoryBudget(100)
    with held.request() as holding:
        holding.reserve(50)
        holding.reach(20)
        assert held.num_bytes == 50
        holding.reach(70)
        assert held.num_bytes == 70
        with pytest.raises(Overloaded):
            holding.reach(101)


def test_what_is_there_already_counts_against_those_who_come_later():
    held = MemoryBudget(100)
    with held.request() as first, held.request() as second:
        first.keep(150)
        with pytest.raises(Overloaded):
            second.reserve(1)


def test_a_request_that_fails_lets_go_of_its_files_and_its_bytes():
    held = MemoryBudget(100)
    files = []

    def fail(holding):
        files.append(holding.file())
        holding.reserve(3)
        raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError), held.request() as holding:
        fail(holding)
    assert held.num_bytes == 0
    with pytest.raises(ValueError, match="closed"):
        files[0].write(b"d")
