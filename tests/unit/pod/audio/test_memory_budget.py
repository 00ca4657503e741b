"""The memory budget: reserved before a body is read, and always released."""

import contextlib

import pytest

from flamingo_common.errors import Overloaded
from flamingo_pod.audio.memory_budget import MemoryBudget


def test_what_does_not_fit_is_rejected_with_a_retry_after():
    budget = MemoryBudget(100)
    with budget.reservation() as first, budget.reservation() as second:
        first.add(60)
        with pytest.raises(Overloaded, match=r"60 of 100 bytes are in use, .* 41 more") as caught:
            second.add(41)
        assert caught.value.retry_after_s is not None
        second.add(40)
    assert budget.num_bytes == 0


def test_an_announced_length_is_not_counted_again_as_it_arrives():
    budget = MemoryBudget(100)
    with budget.reservation() as reservation:
        reservation.add(50)
        reservation.grow_to(20)
        assert budget.num_bytes == 50
        reservation.grow_to(70)
        assert budget.num_bytes == 70
        with pytest.raises(Overloaded):
            reservation.grow_to(101)


def test_bytes_beyond_the_budget_count_against_later_requests():
    budget = MemoryBudget(100)
    with budget.reservation() as first, budget.reservation() as second:
        first.add_unchecked(150)
        with pytest.raises(Overloaded):
            second.add(1)


def test_a_failed_request_releases_its_files_and_its_bytes():
    budget = MemoryBudget(100)
    files = []

    def fail(reservation):
        files.append(reservation.new_file())
        reservation.add(3)
        raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError), budget.reservation() as reservation:
        fail(reservation)
    assert budget.num_bytes == 0
    with pytest.raises(ValueError, match="closed"):
        files[0].write(b"d")


def test_a_file_that_is_moved_outlives_the_reservation_and_stays_counted():
    budget = MemoryBudget(100)
    with budget.reservation() as first:
        file = first.new_file()
        file.write(b"data")
        first.add(4 + 10)
        moved = first.move(file)
        assert (first.num_bytes, moved.num_bytes, budget.num_bytes) == (10, 4, 14)
    assert budget.num_bytes == 4
    file.write(b"more")
    moved.release()
    assert budget.num_bytes == 0
    with pytest.raises(ValueError, match="closed"):
        file.write(b"d")


def test_a_file_that_is_freed_early_is_not_counted_any_more():
    budget = MemoryBudget(100)
    with budget.reservation() as reservation:
        file = reservation.new_file()
        file.write(b"data")
        reservation.add(4 + 10)
        reservation.free_file(file)
        assert budget.num_bytes == 10
        with pytest.raises(ValueError, match="closed"):
            file.write(b"d")
