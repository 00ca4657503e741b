"""The text of a grammar, and specs that are rejected before anything walks them."""

import json
import re

import pytest
from fakes.steps import num_steps
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import BadRequest
from flamingo_pod.engine.structured_output.grammar_source import (
    MAX_BYTES,
    FunctionSpec,
    GrammarSpec,
    call_text,
    source,
)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.text(max_size=12))
def test_choices_are_an_expression_that_matches_nothing_else(choices, other):
    expression = source(GrammarSpec("choice", choices=choices)).text
    # Rust writes \x{a}, Python \x0a.
    for_python = re.sub(r"\\x\{(\w+)\}", lambda code: f"\\U{int(code[1], 16):08x}", expression)
    for text in (*choices, other):
        assert bool(re.fullmatch(for_python, text)) == (text in choices)


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ('root ::= "a"', "gbnf"),
        ('start ::= "a"', "gbnf"),
        ('start: "a"', "lark"),
        ('start: "::="', "lark"),
        ('%llguidance {}\nstart: "a"', "lark"),
        ('  start [max_tokens=3] : "::="', "lark"),
        ("nothing", "lark"),
    ],
)
def test_the_syntax_of_a_grammar_is_detected(text, syntax):
    assert source(GrammarSpec("grammar", text)).syntax == syntax


def test_words_of_a_grammar_are_no_attributes():
    text = 'start: "a[temperature=1]" | "temperature = 1"'
    assert source(GrammarSpec("grammar", text)).text == text


def test_a_call_is_one_alternative_for_each_function():
    functions = [FunctionSpec("get", "{}"), FunctionSpec("put", '{"type": "object"}')]
    lines = source(GrammarSpec("call", functions=functions)).text.splitlines()
    assert lines[0] == "start: call0 | call1"
    assert lines[1] == f"call0: {json.dumps(call_text('get'))} arguments0"
    assert json.loads(lines[4].removeprefix("arguments1: %json "))["type"] == "object"


def test_a_call_of_the_only_function_has_no_name():
    text = source(GrammarSpec("call", functions=[FunctionSpec("get", "{}")])).text
    assert "get" not in text


def test_a_schema_cannot_change_the_options_of_json():
    lenient = '{"type": "object", "x-guidance": {"lenient": true}}'
    text = source(GrammarSpec("call", functions=[FunctionSpec("get", lenient)])).text
    assert '"lenient": false' in text
    assert '"lenient": true' not in text


def test_each_function_is_a_part_with_its_own_field():
    spec = GrammarSpec(
        "call",
        functions=[FunctionSpec("a", "[]", "tools[0].function.parameters")],
        field="tools",
    )
    with pytest.raises(BadRequest, match="not a JSON object") as caught:
        source(spec)
    assert caught.value.param == "tools[0].function.parameters"


def test_a_schema_that_is_too_large_is_not_parsed():
    def run():
        with pytest.raises(BadRequest, match="larger than"):
            source(GrammarSpec("json_schema", "[" * MAX_BYTES * 64))

    assert num_steps(run) < 5000
