"""The deadline header of a request."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import DEADLINE_HEADER
from flamingo_common.wire.deadline import MAX_DEADLINE_MS, deadline_s


def test_the_header_is_milliseconds_from_now():
    assert deadline_s({DEADLINE_HEADER: "1500"}, now_s=100.0) == 101.5
    assert deadline_s({}, now_s=100.0) is None


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "soon", str(MAX_DEADLINE_MS + 1), "٣"])
def test_an_invalid_header_is_rejected(text):
    with pytest.raises(BadRequest, match="must be a number of milliseconds") as caught:
        deadline_s({DEADLINE_HEADER: text}, now_s=100.0)
    assert caught.value.param == DEADLINE_HEADER
