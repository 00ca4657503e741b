import pytest
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo.batch.clip_window import ClipWindow
from flamingo.batch.items import Item


def popped(window):
    return [window.pop().key for _ in range(len(window))]


def filled(*pairs):
    window = ClipWindow()
    for key, location in pairs:
        window.push(Item(key, location))
    return window


def test_items_of_one_clip_leave_together():
    window = filled(("1", "a"), ("2", "b"), ("3", "a"), ("4", "c"), ("5", "b"))

    assert popped(window) == ["1", "3", "2", "5", "4"]


def test_an_item_that_joins_late_leaves_with_its_clip():
    window = filled(("1", "a"), ("2", "b"), ("3", "a"))
    window.pop()
    window.push(Item("4", "a"))

    assert popped(window) == ["3", "4", "2"]


def test_an_empty_window_has_no_next_item():
    with pytest.raises(IndexError):
        ClipWindow().pop()


@settings(max_examples=examples(100))
@given(st.lists(st.sampled_from("abc")))
def test_every_item_leaves_once_and_in_order_of_its_clip(locations):
    pairs = [(f"{number:03}", location) for number, location in enumerate(locations)]
    window = filled(*pairs)
    left = popped(window)

    assert sorted(left) == [key for key, _ in pairs]
    for clip in "abc":
        own = [key for key, location in pairs if location == clip]
        assert [key for key in left if key in own] == own
    assert not window
