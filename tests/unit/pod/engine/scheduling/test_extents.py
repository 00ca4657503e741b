import itertools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flamingo_pod.engine.scheduling.extents import Extent, ExtentPool


def test_allocation_is_best_fit_and_neighbours_merge():
    pool = ExtentPool(10)
    first, second, third = pool.allocate(3), pool.allocate(3), pool.allocate(4)
    assert (first, second, third) == (Extent(0, 3), Extent(3, 6), Extent(6, 10))
    assert pool.allocate(1) is None
    pool.free(first)
    pool.free(third)
    assert pool.longest_free == 4
    pool.free(second)
    assert pool.allocate(10) == Extent(0, 10)
    pool.free(Extent(0, 4))
    pool.free(Extent(5, 7))
    assert pool.allocate(2) == Extent(5, 7), "the shortest that is long enough"


def test_a_part_of_an_extent_can_be_freed():
    pool = ExtentPool(10)
    kept, rest = pool.allocate(8).split(3)
    pool.free(rest)
    assert (pool.num_free, pool.longest_free) == (7, 7)
    assert kept == Extent(0, 3)


class Pool(RuleBasedStateMachine):
    """Whatever is allocated and freed, extents never overlap and nothing leaks."""

    def __init__(self):
        super().__init__()
        self.pool = ExtentPool(64)
        self.allocated: list[Extent] = []

    @rule(num_tokens=st.integers(1, 40))
    def allocate(self, num_tokens):
        extent = self.pool.allocate(num_tokens)
        if extent is not None:
            assert extent.length == num_tokens
            self.allocated.append(extent)
        else:
            assert self.pool.longest_free < num_tokens

    @rule(data=st.data())
    def free_part(self, data):
        if self.allocated:
            number = data.draw(st.integers(0, len(self.allocated) - 1))
            extent = self.allocated.pop(number)
            kept, rest = extent.split(data.draw(st.integers(0, extent.length)))
            self.pool.free(rest)
            if kept.length:
                self.allocated.append(kept)

    @invariant()
    def nothing_overlaps_and_nothing_leaks(self):
        allocated = sorted(self.allocated)
        assert all(one.stop <= other.start for one, other in itertools.pairwise(allocated))
        assert self.pool.num_free == 64 - sum(extent.length for extent in allocated)


TestPool = Pool.TestCase


@given(st.lists(st.integers(1, 20), max_size=30))
def test_freeing_all_leaves_one_extent(sizes):
    pool = ExtentPool(100)
    taken = [extent for size in sizes if (extent := pool.allocate(size))]
    for extent in taken[::2] + taken[1::2]:
        pool.free(extent)
    assert pool.longest_free == 100


def test_an_extent_grows_into_the_free_slots_behind_it():
    pool = ExtentPool(100)
    first, second = pool.allocate(30), pool.allocate(30)
    assert pool.allocate_after(first.stop, at_least=1, at_most=10) is None
    assert pool.allocate_after(second.stop, at_least=41, at_most=50) is None
    assert pool.allocate_after(second.stop, at_least=5, at_most=15) == Extent(60, 75)
    assert pool.allocate_after(75, at_least=5, at_most=50) == Extent(75, 100)
    assert pool.num_free == 0
    assert pool.allocate_after(100, at_least=1, at_most=1) is None
