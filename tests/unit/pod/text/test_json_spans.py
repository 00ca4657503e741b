"""Where the values of a JSON text stand in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.text import json_spans


def read(text):
    return {value.pointer: text[value.start : value.end] for value in json_spans.values(text)}


def test_values_have_json_pointers_and_containers_have_none():
    text = '{"genre": ["rock", "pop"], "bpm": 120, "key": null, "more": {"live": true, "none": []}}'
    assert read(text) == {
        "/genre/0": '"rock"',
        "/genre/1": '"pop"',
        "/bpm": "120,",
        "/key": "null",
        "/more/live": "true",
    }


def test_a_number_has_the_character_that_ends_it():
    assert read("[1, 2.5e3 ,-3]") == {"/0": "1,", "/1": "2.5e3 ", "/2": "-3]"}
    assert read("12") == {"": "12"}


def test_a_text_that_is_one_value_has_an_empty_pointer():
    assert read('"a"') == {"": '"a"'}


@pytest.mark.parametrize("key", ["a/b", "m~n", 'quote"d', "{", ",", "", "ключ", "\n"])
def test_names_are_escaped_as_in_rfc_6901(key):
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    assert list(read(json.dumps({key: ":"}))) == [pointer]


def leaves(value, pointer=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{pointer}/{index}")
    else:
        yield pointer, value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_each_value_is_found_where_json_reads_it(value, indent, is_ascii):
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    found = [
        (each.pointer, json.loads(text[each.start : each.end].rstrip(",]} \n")))
        if text[each.start] != '"'
        else (each.pointer, json.loads(text[each.start : each.end]))
        for each in json_spans.values(text)
    ]
    assert found == list(leaves(value))
