import json

import pytest

from flamingo.batch import answer_forms
from flamingo.batch.answer_forms import AnswerForm, fitted, shape_of
from flamingo_common.recipes import folder

CLOSED = {"additionalProperties": False, "type": "object"}


def test_a_recipes_fields_are_columns_of_their_own():
    card = folder.load(None)["card"]
    assert shape_of(card.schema_) == {
        "genre": ["text"],
        "mood": ["text"],
        "instruments": ["text"],
        "bpm": "integer",
        "key": "text",
        "language": "text",
        "vocals": "text",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": "string"}}},  # may have other properties
        {"type": ["string", "integer"]},
        {**CLOSED, "properties": {}},
        {"type": "null"},
        {"$ref": "#/definitions/a"},
        {"anyOf": [{"type": "string"}]},
        {"type": {}},
        True,
    ],
)
def test_what_a_table_would_lose_something_of_is_json(schema):
    assert shape_of(schema) == "json"


def test_a_schema_that_is_nested_without_end_ends():
    schema: dict = {"type": "array"}
    schema["items"] = schema
    shape, depth = shape_of(schema), 0
    while shape != "json":
        (shape,), depth = shape, depth + 1
    assert depth == answer_forms.MAX_DEPTH


def test_values_that_fit_are_kept_and_json_is_written_as_text():
    shape = {"a": ["integer"], "b": "number", "c": "flag", "d": "json", "e": "text"}
    value = {"a": [1, None], "b": 2, "c": True, "d": {"ä": 1}}
    assert fitted(value, shape) == {
        "a": [1, None],
        "b": 2,
        "c": True,
        "d": '{"ä": 1}',
        "e": None,
    }


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (True, "integer"),
        (2**63, "integer"),
        (1.5, "integer"),
        ("1", "number"),
        (2**70, "number"),
        (1, "flag"),
        (1, "text"),
        ("a", ["text"]),
        ([1], ["text"]),
        ([], {"a": "text"}),
        ({"b": 1}, {"a": "text"}),
    ],
)
def test_values_that_do_not_fit_are_refused(value, shape):
    with pytest.raises(ValueError, match="not"):
        fitted(value, shape)


def test_the_form_of_an_answer_decides_its_shape():
    assert AnswerForm("mood").shape == "text"
    assert AnswerForm("tags", is_json=True).shape == "json"
    sections = AnswerForm("lyrics", "lyrics", has_sections=True).shape
    assert isinstance(sections, dict)
    assert [*sections] == ["text", "sections", "faults"]
    assert json.dumps(sections)
