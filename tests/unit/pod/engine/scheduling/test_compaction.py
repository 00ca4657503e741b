import itertools

from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.scheduling.compaction import moves_for
from flamingo_pod.engine.scheduling.extents import Extent


def placed(*lengths):
    """Return extents of the odd lengths, with gaps of the even ones before them."""
    extents, at = [], 0
    for gap, length in zip(lengths[::2], lengths[1::2], strict=True):
        extents.append(Extent(at + gap, at + gap + length))
        at += gap + length
    return extents


def movable(extents, *fixed):
    return [(extent, number not in fixed) for number, extent in enumerate(extents)]


def test_the_extents_between_enough_free_slots_slide_together():
    extents = placed(2, 10, 3, 10, 1, 10)
    moves = moves_for(6, movable(extents), 36)
    assert moves == [(extents[0], Extent(0, 10)), (extents[1], Extent(10, 20))]


def test_the_row_with_the_fewest_allocated_slots_is_chosen():
    extents = placed(2, 10, 2, 3, 2, 9)
    assert moves_for(4, movable(extents), 28) == [(extents[1], Extent(12, 15))]


def test_slots_at_the_end_of_the_pool_count():
    extents = placed(0, 10, 5, 10)
    assert moves_for(9, movable(extents), 30) == [(extents[1], Extent(10, 20))]


def test_what_may_not_move_stays():
    extents = placed(2, 10, 3, 10)
    assert moves_for(5, movable(extents, 0), 25) == []
    assert moves_for(5, movable(extents, 0), 27) == [(extents[1], Extent(12, 22))]


def test_nothing_moves_where_there_is_such_an_extent_or_none_is_possible():
    assert moves_for(4, movable(placed(1, 10, 4, 10)), 25) == []
    assert moves_for(4, movable(placed(1, 10, 2, 10)), 23) == []
    assert moves_for(4, [], 10) == []


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8), st.booleans()), max_size=12),
    st.integers(1, 20),
    st.integers(0, 8),
)
def test_moves_make_the_gap_wherever_one_can_be_made(places, num_tokens, num_behind):
    extents = placed(*[number for gap, length, _ in places for number in (gap, length)])
    num_pool = (extents[-1].stop if extents else 0) + num_behind
    flags = [is_movable for *_, is_movable in places]
    moves = moves_for(num_tokens, list(zip(extents, flags, strict=True)), num_pool)
    slots = {slot for extent in extents for slot in range(extent.start, extent.stop)}
    for source, target in moves:
        assert flags[extents.index(source)]
        assert target.length == source.length
        assert target.start < source.start
        slots -= set(range(source.start, source.stop))
        assert slots.isdisjoint(range(target.start, target.stop)), "it is written over"
        slots |= set(range(target.start, target.stop))
    is_possible = longest_if_all_slide(extents, flags, num_pool) >= num_tokens
    assert (longest_gap(slots, num_pool) >= num_tokens) == is_possible


def longest_gap(slots, num_pool):
    ends = [-1, *sorted(slots), num_pool]
    return max(stop - start - 1 for start, stop in itertools.pairwise(ends))


def longest_if_all_slide(extents, flags, num_pool):
    """Return the most free slots between two extents that stay."""
    fixed = [extent for extent, is_movable in zip(extents, flags, strict=True) if not is_movable]
    ends = [Extent(0, 0), *fixed, Extent(num_pool, num_pool)]
    free = []
    for before, after in itertools.pairwise(ends):
        inside = [
            each for each in extents if before.stop <= each.start and each.stop <= after.start
        ]
        used = sum(each.length for each in inside if each not in fixed)
        free.append(after.start - before.stop - used)
    return max(free)
