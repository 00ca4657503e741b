"""Which extents move so that free slots of the pool become one extent.

How it works: of all rows of neighbouring extents that have enough free slots between them, the one
with the fewest allocated slots is chosen, and its extents slide together.

Pure.
"""

from collections.abc import Sequence

from flamingo_pod.engine.scheduling.extents import Extent


def moves_for(
    num_tokens: int, extents: Sequence[tuple[Extent, bool]], num_pool: int
) -> list[tuple[Extent, Extent]]:
    """Return moves, in order, after which `num_tokens` free slots are one extent; none if too few.

    `extents` are all that are allocated in a pool of `num_pool` slots, ordered by place, and
    whether each may move. A move is from one extent to another of the same length. The two may
    overlap, and the rest of the second is free once the moves before have been made.
    """
    first, last = _cheapest_row(num_tokens, extents, num_pool)
    moves = []
    end = extents[first - 1][0].stop if first else 0
    for extent, _ in extents[first:last]:
        target = Extent(end, end + extent.length)
        if target != extent:
            moves.append((extent, target))
        end = target.stop
    return moves


def _cheapest_row(
    num_tokens: int, extents: Sequence[tuple[Extent, bool]], num_pool: int
) -> tuple[int, int]:
    """Return which extents `[first, last)` to slide together; an empty range if none will do."""
    starts = [extent.start for extent, _ in extents] + [num_pool]
    stops = [0] + [extent.stop for extent, _ in extents]
    gaps = [start - stop for start, stop in zip(starts, stops, strict=True)]
    best, best_cost = (0, 0), num_pool + 1
    first = num_gap = cost = 0
    for last, gap in enumerate(gaps):
        if last:
            extent, is_movable = extents[last - 1]
            cost += extent.length
            if not is_movable:
                first, num_gap, cost = last, 0, 0
        num_gap += gap
        while num_gap - gaps[first] >= num_tokens and first < last:
            num_gap -= gaps[first]
            cost -= extents[first][0].length
            first += 1
        if num_gap >= num_tokens and cost < best_cost:
            best, best_cost = (first, last), cost
    return best
