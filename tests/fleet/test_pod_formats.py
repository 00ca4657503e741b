"""A real pod: answers of a schema, an expression, a choice or a grammar, by vLLM's parameters."""

import json
import re

import pytest

from flamingo_common.wire import sse

QUESTION = {"messages": [{"role": "user", "content": "Name a genre."}], "max_tokens": 200}
KEY = {
    "type": "object",
    "properties": {"tonic": {"enum": ["C", "D"]}, "bpm": {"type": "integer", "maximum": 400}},
    "required": ["tonic", "bpm"],
    "additionalProperties": False,
}
GENRES = [f"genre {number}" for number in range(10_000)]


def is_key(text):
    key = json.loads(text)
    return key["tonic"] in ("C", "D") and key["bpm"] <= 400


LONG_CHAIN = "".join(f"r{n} ::= r{n + 1}\n" for n in range(4000)) + 'root ::= r0\nr4000 ::= "a"'
"""Needs more stack than a compilation may have."""
FORMATS = {
    "json": ({"structured_outputs": {"json": KEY}}, is_key),
    "json text": ({"structured_outputs": {"json": json.dumps(KEY)}}, is_key),
    "compact": (
        {"structured_outputs": {"json": KEY, "disable_any_whitespace": True}},
        lambda text: is_key(text) and " " not in text,
    ),
    "regex": (
        {"structured_outputs": {"regex": "(é|[a-c]){3}"}},
        lambda text: re.fullmatch("(é|[a-c]){3}", text),
    ),
    "choice": ({"structured_outputs": {"choice": GENRES}}, lambda text: text in GENRES),
    "lark": (
        {"structured_outputs": {"grammar": 'start: "a" B\nB: /b{1,3}/'}},
        lambda text: re.fullmatch("ab{1,3}", text),
    ),
    "gbnf": (
        {"structured_outputs": {"grammar": 'root ::= "a" b\nb ::= "b" | "bb"'}},
        lambda text: text in ("ab", "abb"),
    ),
    "guided_json": ({"guided_json": KEY}, is_key),
    "guided_regex": ({"guided_regex": "x{2,4}"}, lambda text: re.fullmatch("x{2,4}", text)),
    "guided_choice": ({"guided_choice": ["rock", "jazz"]}, lambda text: text in ("rock", "jazz")),
    "guided_grammar": ({"guided_grammar": 'root ::= "yes" | "no"'}, lambda t: t in ("yes", "no")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_has_its_format(http, no_spaces, name):
    fields, fits = FORMATS[name]
    body = QUESTION | fields | {"temperature": 1, "seed": 4, "n": 2, "logit_bias": no_spaces}
    if name == "choice":
        del body["logit_bias"]
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    for choice in answer.json()["choices"]:
        assert choice["finish_reason"] == "stop"
        assert fits(choice["message"]["content"]), choice


@pytest.mark.parametrize("name", ["json", "choice", "guided_regex"])
def test_a_stream_has_the_same_text(http, name):
    body = QUESTION | FORMATS[name][0]
    whole = http.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
    answer = http.post("/v1/chat/completions", json=body | {"stream": True})
    chunks = [json.loads(each) for each in sse.EventDecoder().feed(answer.content)[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole


@pytest.mark.parametrize("route", ["captions", "analyze"])
@pytest.mark.parametrize(
    "fields",
    [
        {"guided_regex": "[ab]{4}"},
        {"request": json.dumps({"structured_outputs": {"regex": "[ab]{4}"}})},
    ],
)
def test_a_caption_has_its_format_too(http, clips, route, fields):
    answer = http.post(f"/v1/audio/{route}", files={"file": clips["notes.mp3"]}, data=fields)
    assert re.fullmatch("[ab]{4}", answer.json()["caption"]), answer.text


def test_an_answer_cut_by_max_tokens_is_incomplete(http):
    body = QUESTION | {"structured_outputs": {"regex": "a{300}"}, "max_tokens": 3}
    choice = http.post("/v1/chat/completions", json=body).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert re.fullmatch("a{1,299}", choice["message"]["content"])


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex", "unclosed group"),
        ({"guided_regex": "(?=a)b"}, "guided_regex", "look-around"),
        ({"guided_grammar": LONG_CHAIN}, "guided_grammar", "too much time or memory"),
        ({"structured_outputs": {"json": {"not": {}}}}, "structured_outputs.json", "not"),
        ({"guided_json": "{"}, "guided_json", "not valid JSON"),
        (
            {"structured_outputs": {"choice": ["rock", "<sound>"]}},
            "structured_outputs.choice[1]",
            "the control token '<sound>'",
        ),
        ({"guided_choice": ["a<|im_end|>"]}, "guided_choice[0]", "the control token '<|im_end|>'"),
        ({"guided_json": {"const": "<sound>"}}, "guided_json", "the control token '<sound>'"),
        ({"guided_regex": "[<]sound>"}, "guided_regex", "the control token '<sound>'"),
        ({"guided_choice": ["a" * 140_000]}, "guided_choice", "131072 bytes"),
        ({"guided_grammar": "root ::= a"}, "guided_grammar", "'a' not found"),
        (
            {"guided_regex": "a", "response_format": {"type": "json_object"}},
            "guided_regex",
            "response_format and guided_regex",
        ),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_format_that_cannot_be_enforced_is_refused(http, fields, param, reason, is_streamed):
    answer = http.post("/v1/chat/completions", json=QUESTION | fields | {"stream": is_streamed})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert reason in answer.json()["error"]["message"]


def test_a_caption_with_two_formats_is_refused_before_its_audio_is_read(http):
    fields = {"guided_regex": "a", "guided_grammar": "b"}
    answer = http.post("/v1/audio/captions", files={"file": b"no audio"}, data=fields)
    assert answer.json()["error"]["param"] == "guided_grammar"
