"""Answers of the shape asked for, and schemas that must not hurt anybody."""

import json
import random

import pytest
import torch

from flamingo_common.errors import BadRequest
from flamingo_pod.engine import grammar_trial
from flamingo_pod.engine.grammar import MAX_SCHEMA_BYTES, Grammar, GrammarCompiler, GrammarSpec
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


def allowed(grammar):
    bits = (grammar.mask().unsqueeze(-1) >> torch.arange(32, dtype=torch.int32)) & 1
    return bits.flatten().nonzero().flatten().tolist()


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
    assert mask.dtype == torch.int32
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
        pytest.param({"$ref": "http://127.0.0.1/x"}, "does not fetch", id="remote"),
        pytest.param({"$ref": "#/$defs/gone"}, "does not exist", id="dangling"),
        pytest.param({"enum": []}, "Unsatisfiable", id="empty enum"),
        pytest.param({"type": "integer", "minimum": 2, "maximum": 1}, "greater", id="empty range"),
        pytest.param({"$ref": "#"}, "nothing satisfies it", id="itself"),
        pytest.param({"type": "string", "pattern": "(?=a)b"}, "look-around", id="look-around"),
        pytest.param({"type": "string", "pattern": "("}, "regex", id="broken pattern"),
        pytest.param({"enum": ["\ud800"]}, "hex escape", id="lone surrogate"),
        pytest.param({"not": {}, "x-guidance": {"lenient": True}}, "not", id="asks for leniency"),
        pytest.param("9" * 5000, "not valid JSON", id="huge number"),
        pytest.param({"title": "é" * MAX_SCHEMA_BYTES}, "bytes", id="large"),
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
    tried = compiler._trial_error.cache_info
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
