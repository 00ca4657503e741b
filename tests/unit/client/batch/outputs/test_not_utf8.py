import json

import pytest
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo.batch.outputs import not_utf8


@pytest.mark.parametrize("text", ["song.mp3", "Ünï 曲", "C:\\users\\u", ""])
def test_text_that_utf8_has_stays_the_same(text):
    assert not_utf8.escape(text) == text


def test_a_byte_that_is_not_utf8_is_written_as_json_has_it():
    assert not_utf8.escape("caf\udce9.mp3") == "caf\\udce9.mp3"


def test_names_and_values_of_a_json_value_are_escaped():
    value = {"\udce9": ["\udce9", 1, None, {"a": "\ud800"}]}
    assert not_utf8.escape_all(value) == {"\\udce9": ["\\udce9", 1, None, {"a": "\\ud800"}]}


@settings(max_examples=examples(500))
@given(st.text("\\ud05ce9\udce9\ud83ca", max_size=14))
def test_what_was_escaped_is_utf8_and_can_be_read_back(text):
    escaped = not_utf8.escape(text)

    escaped.encode()
    assert not_utf8.unescape(escaped) == text
    assert json.loads(json.dumps(escaped)) == escaped
