"""What a grammar spells out, in each of the syntaxes, and nothing that it does not."""

import json

import pytest

from flamingo_pod.engine.structured_output.grammar_literals import literals
from flamingo_pod.engine.structured_output.grammar_source import FunctionSpec, GrammarSpec

TOKEN = "<|im_end|>"


def schema(value):
    return GrammarSpec("json_schema", json.dumps(value))


def regex(text):
    return GrammarSpec("regex", text, "structured_outputs.regex")


def grammar(text):
    return GrammarSpec("grammar", text, "structured_outputs.grammar")


def fields_with(token, spec):
    return [field for field, text in literals(spec) if token in text]


@pytest.mark.parametrize(
    "spec",
    [
        schema({"enum": ["a", f"b{TOKEN}"]}),
        schema({"const": {"a": [TOKEN]}}),
        schema({"const": {TOKEN: 1}}),
        schema({"type": "object", "properties": {TOKEN: {}}}),
        schema({"type": "object", "required": [TOKEN]}),
        schema({"anyOf": [{"type": "array", "items": {"const": TOKEN}}]}),
        schema({"$defs": {"a": {"pattern": "^x<\\|im_end\\|>$"}}}),
        schema({"patternProperties": {"^<\\|im_end\\|>$": {}}}),
        schema({"properties": {"enum": {"properties": {"const": {"enum": [TOKEN]}}}}}),
        regex("a(b|<\\|im_end\\|>)+"),
        grammar(f'start: "a" | "{TOKEN}"'),
        grammar("start: A\nA: /x<\\|im_end\\|>/"),
        grammar('root ::= "\\u003c|im_end|>"'),
        grammar("start: <|im_end|>"),
    ],
    ids=lambda spec: spec.text,
)
def test_a_literal_is_found_wherever_a_grammar_can_have_one(spec):
    assert fields_with(TOKEN, spec) == [spec.field]


@pytest.mark.parametrize(
    "spec",
    [
        schema({"description": TOKEN, "title": TOKEN, "type": "string"}),
        schema({"default": TOKEN, "examples": [TOKEN]}),
        schema({"properties": {"a": {"description": TOKEN}}}),
        regex("<|im_end|>"),
        regex("[<|im_end|>]"),
        regex("<\\|im_end\\|*>"),
        grammar(f'start: "a" // {TOKEN}'),
    ],
    ids=lambda spec: spec.text,
)
def test_a_text_that_no_answer_is_made_of_is_no_literal(spec):
    assert fields_with(TOKEN, spec) == []


def test_a_choice_is_named_by_its_number():
    spec = GrammarSpec("choice", field="guided_choice", choices=["a", f"x{TOKEN}"])
    assert fields_with(TOKEN, spec) == ["guided_choice[1]"]


def test_the_arguments_of_a_function_are_named_by_their_own_field():
    functions = [
        FunctionSpec("f", "{}", "tools[0].function.parameters"),
        FunctionSpec("g", json.dumps({"enum": [TOKEN]}), "tools[1].function.parameters"),
    ]
    spec = GrammarSpec("call", field="tools", functions=functions)
    assert fields_with(TOKEN, spec) == ["tools[1].function.parameters"]
