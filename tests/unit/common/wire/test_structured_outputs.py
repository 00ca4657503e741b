"""vLLM's parameters for constrained answers, and the errors about them."""

import pytest

from flamingo_common.errors import BadRequest, UnsupportedParameter
from flamingo_common.wire import parse, requests


def request(kind=requests.ChatRequest, **fields):
    return parse.validate_request(kind, {"messages": [{"role": "user", "content": "a"}], **fields})


@pytest.mark.parametrize(
    "value",
    [
        {"json": {"type": "integer"}},
        {"json": '{"type": "integer"}', "disable_fallback": True},
        {"regex": "a+", "disable_any_whitespace": False},
        {"choice": ["a", ""]},
        {"grammar": 'root ::= "a"'},
        {"json_object": True, "whitespace_pattern": None},
        {"regex": "a", "json_object": False, "disable_additional_properties": False},
    ],
)
def test_each_constraint_of_vllm_is_taken(value):
    assert request(structured_outputs=value).structured_outputs is not None


@pytest.mark.parametrize(
    ("value", "param", "reason"),
    [
        ({}, "structured_outputs", "exactly one of"),
        ({"json_object": False}, "structured_outputs", "exactly one of"),
        ({"regex": "a", "choice": ["a"]}, "structured_outputs", "exactly one of"),
        ({"json": [1]}, "structured_outputs.json", "must be"),
        ({"json": ""}, "structured_outputs.json", "at least 1"),
        ({"regex": ""}, "structured_outputs.regex", "at least 1"),
        ({"regex": "a" * 65_537}, "structured_outputs.regex", "65536"),
        ({"choice": []}, "structured_outputs.choice", "at least 1"),
        ({"choice": "ab"}, "structured_outputs.choice", "an array"),
        ({"choice": ["a", 1]}, "structured_outputs.choice[1]", "string"),
        ({"choice": ["a"] * 10_001}, "structured_outputs.choice", "10000"),
        ({"gramar": "a"}, "structured_outputs.gramar", "did you mean 'grammar'"),
    ],
)
def test_an_invalid_constraint_is_rejected_with_its_path(value, param, reason):
    with pytest.raises(BadRequest) as caught:
        request(structured_outputs=value)
    assert caught.value.param == param
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whitespace_pattern", " "),
        ("disable_additional_properties", True),
        ("structural_tag", "{}"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(name, value):
    with pytest.raises(UnsupportedParameter) as caught:
        request(structured_outputs={"regex": "a", name: value})
    assert caught.value.param == f"structured_outputs.{name}"


def test_the_older_names_are_taken():
    options = request(guided_json={"type": "integer"}, guided_decoding_backend="outlines")
    assert options.guided_json == {"type": "integer"}
    assert request(guided_choice=["a"]).guided_choice == ["a"]
    with pytest.raises(BadRequest) as caught:
        request(guided_json=7)
    assert caught.value.param == "guided_json"
    with pytest.raises(UnsupportedParameter) as caught:
        request(guided_json={}, guided_whitespace_pattern=" ")
    assert caught.value.param == "guided_whitespace_pattern"


def test_a_form_can_set_those_that_are_text():
    fields = {"audio": {"data": ""}, "guided_regex": "a+"}
    options = parse.validate_request(requests.CaptionRequest, fields, is_form=True)
    assert options.guided_regex == "a+"
