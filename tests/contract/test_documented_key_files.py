"""The key files of the documentation are read as the services read them."""

import pytest
from documents.selections import KEY_FILES

from flamingo_common.service import keys

EXAMPLES = [pytest.param(one.text, id=one.place) for one in KEY_FILES.commands()]


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_key_file_is_valid(text):
    assert keys.parse(text.encode()) is not None


def test_there_are_key_files():
    assert EXAMPLES
