"""Results in the order of the arguments."""

from hypothesis import given
from hypothesis import strategies as st

from flamingo.commands.files.in_order import InOrder


@given(st.permutations(range(8)))
def test_results_in_any_order_come_out_in_theirs_as_soon_as_it_is_their_turn(arrivals):
    turns = InOrder()
    seen = []
    for number, arrived in enumerate(arrivals):
        seen += turns.add(arrived, f"result {arrived}")
        held_back = [one for one in arrivals[: number + 1] if one >= len(seen)]
        assert len(seen) not in held_back
    assert seen == [(number, f"result {number}") for number in range(8)]
