"""The priority header of a request."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import PRIORITY_HEADER
from flamingo_common.wire.priority import Priority, priority_of


@pytest.mark.parametrize("text", ["low", "Low", " LOW "])
def test_the_header_names_the_priority(text):
    assert priority_of({PRIORITY_HEADER: text}) is Priority.LOW
    assert priority_of({}) is Priority.NORMAL


@pytest.mark.parametrize("text", ["", "lowest", "1", "low, high"])
def test_an_invalid_header_is_rejected(text):
    with pytest.raises(BadRequest, match="expected high, normal or low") as caught:
        priority_of({PRIORITY_HEADER: text})
    assert caught.value.param == PRIORITY_HEADER


def test_only_low_priority_gives_way():
    assert [each for each in Priority if each.is_low] == [Priority.LOW]
