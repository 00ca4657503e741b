"""Answers of the shape asked for, and schemas that must not hurt anybody."""

import json
import random
import re

import numpy as np
import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.recipes import folder
from flamingo_pod.engine.structured_output import grammar_trial
from flamingo_pod.engine.structured_output.grammar import Grammar, GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import (
    MAX_BYTES,
    FunctionSpec,
    GrammarSpec,
)
from flamingo_pod.model.builtin import tokenizer as builtin

VOCABULARY = 1030  # a model's is often padded over its tokenizer's
EOS = frozenset({0, 2})
CONTROL = set(range(len(builtin.CONTROL_TOKENS)))


@pytest.fixture(scope="module")
def tokenizer():
    return builtin.build()


@pytest.fixture(scope="module")
def compiler(tokenizer):
    return GrammarCompiler(tokenizer, VOCABULARY, EOS)


def spec(schema):
    return GrammarSpec("json_schema", schema if isinstance(schema, str) else json.dumps(schema))


def regex(pattern):
    return GrammarSpec("regex", pattern, "structured_outputs.regex")


def choice(*choices):
    return GrammarSpec("choice", field="structured_outputs.choice", choices=choices)


def syntax(text):
    return GrammarSpec("grammar", text, "structured_outputs.grammar")


def call(**functions):
    specs = [
        FunctionSpec(name, json.dumps(schema), f"tools[{number}].function.parameters")
        for number, (name, schema) in enumerate(functions.items())
    ]
    return GrammarSpec("call", field="tools", functions=specs)


def allowed(grammar):
    bits = np.unpackbits(grammar.mask().view(np.uint8), bitorder="little")
    return bits.nonzero()[0].tolist()


def walk(grammar, seed, max_tokens=4000):
    """Return what a model without a mind message: any allowed token, ending when it may."""
    rng, said = random.Random(seed), []
    while not grammar.is_done:
        ids = allowed(grammar)
        assert ids, "never stuck"
        assert max(ids) < builtin.VOCABULARY_SIZE, "padding is no token"
        assert not CONTROL & set(ids) - EOS
        # Half of the time the shortest way on, or a string would hardly ever end.
        token_id = _way_out(ids) if rng.random() < 0.5 else rng.choice(ids)
        grammar.accept(token_id)
        said.append(token_id)
        assert len(said) < max_tokens
    return [token_id for token_id in said if token_id not in EOS]


def _way_out(ids):
    return next((token_id for token_id in (2, *CLOSERS) if token_id in ids), ids[0])


CLOSERS = [builtin.build().convert_tokens_to_ids(piece) for piece in ('"', "}", "]")]


def say(grammar, tokenizer, text):
    for token_id in tokenizer.encode(text):
        grammar.accept(token_id)


SONG = {
    "type": "object",
    "properties": {
        "genre": {"enum": ["rock", "pop", "jazz and blues"]},
        "tempo": {"type": "integer", "minimum": 40, "maximum": 220},
        "loudness": {"type": "number", "minimum": -60, "maximum": 0},
        "key": {
            "type": "object",
            "properties": {"tonic": {"type": "string", "pattern": "^[A-G]#?$"}, "minor": {}},
            "required": ["tonic"],
            "additionalProperties": False,
        },
        "instruments": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 6},
            "minItems": 1,
            "maxItems": 3,
        },
        "vocals": {"type": ["boolean", "null"]},
    },
    "required": ["genre", "tempo", "loudness", "key", "instruments", "vocals"],
    "additionalProperties": False,
}


def is_song(song):
    key = song["key"]
    return (
        list(song) == SONG["required"]
        and song["genre"] in SONG["properties"]["genre"]["enum"]
        and isinstance(song["tempo"], int)
        and 40 <= song["tempo"] <= 220
        and -60 <= song["loudness"] <= 0
        and {"tonic"} <= set(key) <= {"tonic", "minor"}
        and key["tonic"][0] in "ABCDEFG"
        and key["tonic"][1:] in ("", "#")
        and 1 <= len(song["instruments"]) <= 3
        and all(1 <= len(name) <= 6 for name in song["instruments"])
        and song["vocals"] in (True, False, None)
    )


SCHEMAS = {
    "song": (SONG, is_song),
    "union": (
        {"anyOf": [{"type": "integer", "multipleOf": 5}, {"const": "five"}]},
        lambda value: value == "five" or value % 5 == 0,
    ),
    "list": (
        {"type": "array", "items": {"$ref": "#/$defs/pair"}, "minItems": 2, "maxItems": 2}
        | {
            "$defs": {"pair": {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": 1}]}}
        },
        lambda value: len(value) == 2 and all(isinstance(pair, list) for pair in value),
    ),
    "kinds": (
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": kind}, "n": {"type": "integer"}},
                    "required": ["kind", "n"],
                    "additionalProperties": False,
                }
                for kind in ("beat", "bar")
            ]
        },
        lambda value: value["kind"] in ("beat", "bar") and isinstance(value["n"], int),
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("seed", range(15))
def test_any_allowed_output_matches_the_schema(compiler, tokenizer, name, seed):
    schema, fits = SCHEMAS[name]
    text = tokenizer.decode(walk(compiler.compile(spec(schema)), seed))
    assert fits(json.loads(text)), text


@pytest.mark.parametrize("seed", range(30))
def test_json_mode_gives_an_object(compiler, tokenizer, seed):
    text = tokenizer.decode(walk(compiler.compile(GrammarSpec("json_object")), seed))
    assert isinstance(json.loads(text, strict=False), dict)


def test_the_mask_is_packed_as_the_sampler_reads_it(compiler, tokenizer):
    mask = compiler.compile(GrammarSpec("json_object")).mask()
    assert mask.dtype == np.int32
    assert mask.shape == (-(-VOCABULARY // 32),)
    brace = tokenizer.convert_tokens_to_ids("{")
    assert (int(mask[brace // 32]) >> (brace % 32)) & 1


def test_end_of_sequence_is_allowed_only_when_complete(compiler, tokenizer):
    grammar = compiler.compile(spec({"type": "integer"}))
    assert not EOS & set(allowed(grammar))
    say(grammar, tokenizer, "1")
    assert set(allowed(grammar)) >= EOS
    assert not grammar.is_done, "more digits may come"
    grammar.accept(2)
    assert grammar.is_done


def test_only_end_of_sequence_is_allowed_when_nothing_may_follow(compiler, tokenizer):
    grammar = compiler.compile(spec({"const": True}))
    say(grammar, tokenizer, "true")
    assert grammar.is_done
    assert set(allowed(grammar)) == EOS


def test_a_run_of_whitespace_is_bounded(compiler, tokenizer):
    grammar = compiler.compile(GrammarSpec("json_object"))
    say(grammar, tokenizer, "{" + " " * 32)
    assert not any(tokenizer.decode([token_id]).isspace() for token_id in allowed(grammar))


def test_a_masked_token_is_not_accepted(compiler, tokenizer):
    grammar = compiler.compile(GrammarSpec("json_object"))
    with pytest.raises(ValueError, match="not allowed"):
        say(grammar, tokenizer, "x")
    with pytest.raises(BadRequest):
        grammar.mask()


def test_nothing_is_accepted_after_the_end(compiler, tokenizer):
    grammar = compiler.compile(spec({"const": True}))
    say(grammar, tokenizer, "true")
    grammar.accept(2)
    with pytest.raises(ValueError, match="not allowed"):
        say(grammar, tokenizer, "x")


def test_a_long_song_is_within_the_limits_of_the_built_in_recipe(compiler, tokenizer):
    schema = folder.load(None)["ace-step"].schema_
    lyrics = "[Verse 1]\n" + "Grey is the harbour, slow the morning rises\n" * 120
    song = {"caption": "A calm waltz with a piano. " * 50, "bpm": 90, "keyscale": "C major"}
    song |= {"timesignature": "3", "language": "en", "lyrics": lyrics}
    grammar = compiler.compile(spec(schema))
    for token_id in tokenizer.encode(json.dumps(song)):
        grammar.mask()  # as the engine does: it raises an error beyond the limits
        grammar.accept(token_id)
    assert grammar.is_done


def test_a_string_can_be_as_long_as_its_schema_says(compiler, tokenizer):
    grammar = compiler.compile(spec({"type": "string", "maxLength": 8000}))
    text = "Grey is the harbour, slow the morning rises\n" * 200
    for token_id in tokenizer.encode(json.dumps(text[:8000])):
        grammar.mask()
        grammar.accept(token_id)
    assert grammar.is_done


def test_a_fork_is_independent(compiler, tokenizer):
    grammar = compiler.compile(spec({"enum": ["a", "b"]}))
    say(grammar, tokenizer, '"')
    other = grammar.fork()
    say(grammar, tokenizer, 'a"')
    assert grammar.is_done
    assert not other.is_done
    say(other, tokenizer, 'b"')
    assert other.is_done


def test_a_grammar_that_exceeds_its_limit_affects_no_other(compiler, tokenizer):
    # The matcher must remember each of the last 30 letters: 2^30 states, if it may.
    greedy = spec({"type": "string", "pattern": "^(.*a.{20}|.*b.{30})$"})
    broken, rng = compiler.compile(greedy), random.Random(0)
    say(broken, tokenizer, '"')
    with pytest.raises(BadRequest, match="too complex"):  # noqa: PT012 - whichever comes first
        for _ in range(4000):
            assert broken.mask().any()
            say(broken, tokenizer, rng.choice("ab"))
    assert not broken.is_done
    assert allowed(compiler.compile(greedy))


# Rejected schemas.


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        pytest.param("", "it is empty", id="nothing"),
        pytest.param("{", "not valid JSON", id="half"),
        pytest.param('{"minimum": NaN}', "not valid JSON", id="nan"),
        pytest.param("[]", "not a JSON object", id="a list"),
        pytest.param({"type": "song"}, "Invalid type", id="unknown type"),
        pytest.param({"not": {"type": "string"}}, "not", id="not"),
        pytest.param({"uniqueItems": True, "type": "array"}, "uniqueItems", id="unique items"),
        pytest.param({"if": {}, "then": {}}, "if", id="if"),
        pytest.param({"$ref": "http://127.0.0.1/x"}, "to another document", id="remote"),
        pytest.param({"$ref": "#/$defs/gone"}, "refers to nothing", id="dangling"),
        pytest.param({"enum": []}, "Unsatisfiable", id="empty enum"),
        pytest.param({"type": "integer", "minimum": 2, "maximum": 1}, "greater", id="empty range"),
        pytest.param({"$ref": "#"}, "nothing satisfies it", id="itself"),
        pytest.param({"type": "string", "pattern": "(?=a)b"}, "look-around", id="look-around"),
        pytest.param({"type": "string", "pattern": "("}, "pattern", id="broken pattern"),
        pytest.param({"enum": ["\ud800"]}, "hex escape", id="lone surrogate"),
        pytest.param({"not": {}, "x-guidance": {"lenient": True}}, "not", id="asks for leniency"),
        pytest.param("9" * 5000, "not valid JSON", id="huge number"),
        pytest.param({"title": "é" * MAX_BYTES}, "bytes", id="large"),
    ],
)
def test_an_unsupported_schema_is_rejected_with_its_reason(compiler, schema, message):
    with pytest.raises(BadRequest, match=message) as caught:
        compiler.compile(spec(schema))
    assert caught.value.param == "response_format"
    assert len(caught.value.message) < 300
    assert "\n" not in caught.value.message


def nested(depth):
    return '{"type":"array","items":' * depth + "{}" + "}" * depth


def test_depth_is_checked_before_anything_walks_the_schema(compiler):
    assert isinstance(compiler.compile(spec(nested(64))), Grammar)
    for schema in (nested(65), nested(1500), "[" * 60_000, "[" * 30_000 + "]" * 30_000):
        with pytest.raises(BadRequest, match="nested"):
            compiler.compile(spec(schema))


BOMBS = {
    "patterns under allOf": {
        "allOf": [{"type": "string", "pattern": f"k.{{{n}}}v"} for n in range(30)]
    },
    "a large multiple": {"type": "integer", "multipleOf": 999_983},
    "alternatives multiplied": {
        "allOf": [
            {"anyOf": [{"type": "object", "properties": {f"k{i}{j}": {}}} for j in range(4)]}
            for i in range(8)
        ]
    },
    "a long chain that doubles": {
        "$ref": "#/$defs/a0",
        "$defs": {
            f"a{n}": {"items": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2}} for n in range(500)
        }
        | {"a500": {"type": "integer"}},
    },
}


# Without the trial's limits one takes six minutes.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BOMBS)
def test_an_expensive_schema_fails_in_the_trial_process(compiler, name):
    tried = compiler._trial.cache_info
    before = tried()
    with pytest.raises(BadRequest):
        compiler.compile(spec(BOMBS[name]))
    first = tried()
    with pytest.raises(BadRequest):
        compiler.compile(spec(BOMBS[name]))
    assert tried().misses == first.misses <= before.misses + 1, "the result is cached"


def test_a_bug_in_the_trial_does_not_reject_the_schema(tokenizer, monkeypatch):
    monkeypatch.setattr(grammar_trial, "__name__", "flamingo_pod.no_such_module")
    with pytest.raises(RuntimeError, match="no_such_module"):
        GrammarCompiler(tokenizer, VOCABULARY, EOS).compile(GrammarSpec("json_object"))


# Other formats than JSON.

WALTZ = 'start: bar+\nbar: BEAT "-" BEAT "-" BEAT ";"\nBEAT: /[A-G]#?/'
WALTZ_IN_GBNF = """
# A dance.
root ::= bar+
bar  ::= beat "-" beat "-" beat ";"
beat ::= [A-G] "#"?
"""
IS_WALTZ = "([A-G]#?-[A-G]#?-[A-G]#?;)+"
TEXTS = {
    "a regular expression": (regex(r"(\d\d?:[0-5]\d) [a-c]{2,4}\n"), r"\d\d?:[0-5]\d [a-c]{2,4}\n"),
    "an anchored one": (regex("^[a-c]{3}$"), "[a-c]{3}"),
    "choices": (choice("rock", "rock and roll", "a|b", "(x]", "c/d\n", "é"), None),
    "lark": (syntax(WALTZ), IS_WALTZ),
    "gbnf": (syntax(WALTZ_IN_GBNF), IS_WALTZ),
    "json in lark": (syntax('start: "n=" %json {"type": "integer"}'), "n=-?(0|[1-9][0-9]*)"),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("seed", range(8))
def test_any_allowed_output_is_in_the_language(compiler, tokenizer, name, seed):
    wanted, pattern = TEXTS[name]
    text = tokenizer.decode(walk(compiler.compile(wanted), seed))
    if pattern is None:
        assert text in wanted.choices
    else:
        assert re.fullmatch(pattern, text), text


def test_every_choice_can_come(compiler, tokenizer):
    choices = [f"genre {number * 7919 % 100_003}" for number in range(10_000)]
    spec_of_all = choice(*choices)
    for one in (choices[0], choices[4711], choices[-1]):
        grammar = compiler.compile(spec_of_all)
        say(grammar, tokenizer, one)
        assert set(allowed(grammar)) >= EOS


@pytest.mark.parametrize("seed", range(6))
def test_a_call_names_a_function_and_has_its_arguments(compiler, tokenizer, seed):
    functions = {"set_song": SONG, "get": {"type": "object", "additionalProperties": False}}
    text = tokenizer.decode(walk(compiler.compile(call(**functions)), seed))
    said = json.loads('{"name":' + text + "}")
    assert said["name"] in functions
    assert is_song(said["arguments"]) if said["name"] == "set_song" else said["arguments"] == {}


@pytest.mark.parametrize("seed", range(4))
def test_a_call_of_the_only_function_has_its_arguments_alone(compiler, tokenizer, seed):
    assert is_song(json.loads(tokenizer.decode(walk(compiler.compile(call(song=SONG)), seed))))


def test_compact_json_has_no_optional_whitespace(compiler, tokenizer):
    schema = {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": [2]}}}
    compact = GrammarSpec("json_schema", json.dumps(schema), is_compact=True)
    say(compiler.compile(compact), tokenizer, '{"a":1,"b":[2]}')
    with pytest.raises(ValueError, match="not allowed"):
        say(compiler.compile(compact), tokenizer, '{"a": 1}')


def test_arguments_have_the_blanks_of_the_prompt(compiler, tokenizer):
    schema = {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": [2, 3]}}}
    say(compiler.compile(call(f=schema)), tokenizer, ' {"a": 1, "b": [2, 3]}')
    for text in (' {"a":1', ' { "a"', '{"a"', '  {"a"'):
        with pytest.raises(ValueError, match="not allowed"):
            say(compiler.compile(call(f=schema)), tokenizer, text)


def test_many_functions_compile(compiler, tokenizer):
    functions = {
        f"tool_{number}": {"type": "object", "additionalProperties": False} for number in range(128)
    }
    grammar = compiler.compile(call(**functions))
    say(grammar, tokenizer, ' "tool_127", "arguments": {}')
    assert grammar.is_done


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param(regex("(?=a)b"), "look-around", id="look-around"),
        pytest.param(regex(r"(a)\1"), "backreferences", id="backreference"),
        pytest.param(regex(r"\bfoo\b"), "lookarounds", id="word boundary"),
        pytest.param(regex("a$b"), "not supported", id="anchor in the middle"),
        pytest.param(regex("("), "unclosed group", id="unclosed"),
        pytest.param(regex("a" * 70_000), "larger than 65536 bytes", id="long"),
        pytest.param(regex("\ud800"), "not valid Unicode", id="surrogate"),
        pytest.param(regex(r"[^\s\S]"), "nothing satisfies it", id="nothing"),
        pytest.param(regex("((a{1000}){1000}){1000}"), "too much time", id="large repetition"),
        pytest.param(choice(*map(str, range(10_001))), "the maximum is 10000", id="many"),
        pytest.param(choice("a" * 70_000, "b" * 70_000), "larger than 131072", id="long choices"),
        pytest.param(choice("\udcff"), "not valid Unicode", id="choice of a surrogate"),
        pytest.param(syntax(""), "empty", id="empty"),
        pytest.param(syntax("start: missing"), "unknown name", id="undefined"),
        pytest.param(syntax("start: ("), "Expected token", id="broken"),
        pytest.param(syntax('start: start "a"'), "nothing satisfies it", id="endless"),
        pytest.param(syntax("root ::= missing"), "'missing' not found", id="undefined in gbnf"),
        pytest.param(syntax('other ::= "a"'), "No 'root' rule", id="no root"),
        pytest.param(syntax("root ::= " + "(" * 5000), "nested", id="deep gbnf"),
        pytest.param(syntax("start: " + "(" * 5000), "deeply nested", id="deep lark"),
        pytest.param(
            syntax(
                "".join(f"r{n} ::= r{n + 1}\n" for n in range(4000)) + 'root ::= r0\nr4000 ::= "a"'
            ),
            "too much time",
            id="a long chain in gbnf",
        ),
        pytest.param(syntax("start: <[5]>"), "token ids", id="token id"),
        pytest.param(syntax("start: <|im_start|>"), "unknown special token", id="control token"),
        pytest.param(syntax('start: a\na[temperature=0.5]: "x"'), "temperature", id="temperature"),
        pytest.param(syntax('start: %json {"not": {}}'), "not", id="schema in lark"),
        pytest.param(
            syntax('start: %json {"not": {}, "x-guidance": {"lenient": true}}'), "not", id="lenient"
        ),
        pytest.param(syntax("start: @other"), "unknown grammar", id="reference"),
    ],
)
def test_what_cannot_be_enforced_is_rejected_with_its_reason_and_field(compiler, wanted, message):
    with pytest.raises(BadRequest, match=re.escape(message)) as caught:
        compiler.compile(wanted)
    assert caught.value.param == wanted.field
    assert caught.value.message.startswith("the ")
    assert len(caught.value.message) < 300
    assert "\n" not in caught.value.message


def test_the_function_whose_schema_cannot_be_enforced_is_named(compiler):
    with pytest.raises(BadRequest, match=r"JSON schema cannot be enforced.*not") as caught:
        compiler.compile(call(fine=SONG, broken={"type": "object", "not": {}}))
    assert caught.value.param == "tools[1].function.parameters"


def test_the_function_whose_schema_is_too_expensive_is_named(compiler):
    bomb = {"type": "object", "properties": {"a": BOMBS["a large multiple"]}}
    with pytest.raises(BadRequest, match="too much time") as caught:
        compiler.compile(call(fine=SONG, bomb=bomb))
    assert caught.value.param == "tools[1].function.parameters"


def test_schemas_too_large_together_are_rejected(compiler):
    big = {"type": "object", "description": "x" * 40_000}
    with pytest.raises(BadRequest, match="larger than 65536 bytes together") as caught:
        compiler.compile(call(one=big, other=big))
    assert caught.value.param == "tools"


def test_a_grammar_that_exceeds_its_limit_names_its_field(compiler, tokenizer):
    grammar, rng = compiler.compile(regex("(.*a.{20}|.*b.{30})")), random.Random(0)
    with pytest.raises(BadRequest, match="too complex") as caught:  # noqa: PT012 - whichever comes
        for _ in range(4000):
            assert grammar.mask().any()
            say(grammar, tokenizer, rng.choice("ab"))
    assert caught.value.param == "structured_outputs.regex"


def take_first_tokens(grammar, num):
    for _ in range(num):
        grammar.accept(allowed(grammar)[0])


@pytest.mark.parametrize("pattern", ["<sound>", "[<]sound>", "a<sound>b", "[ab]<\\|im_end\\|>"])
def test_a_grammar_that_ends_in_a_control_token_alone_is_the_requests_error(compiler, pattern):
    grammar = compiler.compile(regex(pattern))
    with pytest.raises(BadRequest, match="demands the control token") as caught:
        take_first_tokens(grammar, len(pattern))
    assert caught.value.param == "structured_outputs.regex"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"not": {}}, "the keyword not is not supported"),
        ({"contains": {}, "if": {}}, "the keywords contains, if are not supported"),
        ({"$ref": "http://a.example/b.json"}, "a $ref to another document is not supported"),
        ({"$ref": "#/a"}, "the $ref #/a refers to nothing in the schema"),
        ({"type": "string", "minLength": -1}, "minLength must be a non-negative integer"),
        ({"type": "integer", "multipleOf": 0}, "multipleOf must be above 0"),
    ],
)
def test_what_a_schema_cannot_have_is_told_in_its_own_terms(compiler, schema, reason):
    with pytest.raises(BadRequest) as caught:
        compiler.compile(spec(schema))
    assert f"cannot be enforced: {reason}" in caught.value.message
