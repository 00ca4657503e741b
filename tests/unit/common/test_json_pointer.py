"""JSON Pointers."""

import pytest

from flamingo_common import json_pointer


@pytest.mark.parametrize(
    ("pointer", "key", "expected"),
    [
        ("", "a", "/a"),
        ("/a", 0, "/a/0"),
        ("", "a/b~c", "/a~1b~0c"),
        ("", "", "/"),
        ("", "~1", "/~01"),
    ],
)
def test_members_are_named_as_in_rfc_6901(pointer, key, expected):
    assert json_pointer.child(pointer, key) == expected
