"""An invalid field is described in plain words, with its limits."""

import json
import re

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.recipes.recipe import Recipe
from flamingo_common.wire import (
    analysis,
    batches,
    decisions,
    files,
    openai_embeddings,
    openai_responses,
    parse,
    reasons,
    requests,
    transcriptions,
)

NO_URL = "must be an http(s) or data: URL (base64: data:…;base64,…)"
PART_TYPES = "'text', 'input_audio', 'audio_url', 'audio' or 'file'"


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


def user(part):
    return {"messages": [{"role": "user", "content": [part]}]}


def said(fields, kind=requests.ChatRequest, *, is_form=False):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(kind, fields, is_form=is_form)
    return caught.value.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (chat(temperature=3), "temperature: must be a number from 0 to 2"),
        (chat(temperature="hot"), "temperature: must be a number from 0 to 2, not a string"),
        (chat(temperature=None, top_p=-1), "top_p: must be a number from 0 to 1"),
        (chat(max_tokens=0), "max_tokens: must be a whole number from 1 to 32768"),
        (chat(max_tokens=8.5), "max_tokens: must be a whole number from 1 to 32768"),
        (
            chat(max_tokens=True),
            "max_tokens: must be a whole number from 1 to 32768, not a boolean",
        ),
        (chat(max_tokens=[8]), "max_tokens: must be a whole number from 1 to 32768, not an array"),
        (chat(n=9), "n: must be a whole number from 1 to 8"),
        (
            chat(repetition_penalty=0),
            "repetition_penalty: must be a number above 0, up to 10",
        ),
        (chat(stream="true"), "stream: must be true or false, not a string"),
        (chat(logprobs=5), "logprobs: must be true or false, not a number"),
        (chat(model=7), "model: must be a string, not a number"),
        (chat(model="a" * 257), "model: must have at most 256 characters"),
        (chat(stop=["a"] * 5), "stop: must have at most 4 items"),
        (chat(stop=["a" * 257]), "stop[0]: must have at most 256 characters"),
        (chat(stop=7), "stop: must be a string or an array, not a number"),
        (chat(logit_bias=[]), "logit_bias: must be an object, not an array"),
        (chat(logit_bias={"7": 101}), "logit_bias.7: must be a number from -100 to 100"),
        (chat(response_format="json"), "response_format: must be an object, not a string"),
        (
            chat(response_format={"type": "xml"}),
            "response_format.type: must be 'text', 'json_object' or 'json_schema'",
        ),
        ({}, "messages: is required"),
        ({"messages": None}, "messages: must be an array, not null"),
        ({"messages": []}, "messages: must have at least 1 item"),
        ({"messages": ["hi"]}, "messages[0]: must be an object, not a string"),
        ({"messages": [{"content": "a"}]}, "messages[0].role: is required"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: is required"),
        (
            {"messages": [{"role": "assistant"}]},
            "messages[0].content: is required in an assistant's message without tool_calls",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": 7}]},
            "messages[0].tool_calls: must be an array, not a number",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": {}}}]},
            "messages[0].function_call.arguments: must be a string, not an object",
        ),
        (
            user({"type": "audio_url", "audio_url": {"url": "UklGR" * 2000}}),
            f"messages[0].content[0].audio_url.url: {NO_URL}",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_the_reason_is_plain(fields, message):
    assert said(fields) == message


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"type": "image_url"}, f"messages[0].content[0].type: must be {PART_TYPES}"),
        ({"text": "a"}, f"messages[0].content[0].type: is required: {PART_TYPES}"),
        ("a", "messages[0].content[0]: must be an object, not a string"),
    ],
    ids=["another type", "no type", "a string"],
)
def test_a_part_of_another_type_is_answered_with_the_types(part, message):
    assert said({"messages": [{"role": "user", "content": [part]}]}) == message


def test_in_a_form_a_number_is_text():
    fields = {"audio": {"data": ""}, "max_tokens": "many", "response_format": "json"}
    message = said(fields, requests.CaptionRequest, is_form=True)
    assert "max_tokens: must be a whole number from 1 to 32768, not text" in message
    assert "response_format: must be an object, not a string; in a form it belongs" in message


@pytest.mark.parametrize("text", ["-1", "99999999", "1e309"])
def test_a_number_in_a_form_that_is_not_allowed_is_not_called_text(text):
    fields = {"audio": {"data": ""}, "start": text}
    message = said(fields, requests.CaptionRequest, is_form=True)
    assert message == "start: must be a number from 0 to 10000000"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (requests.ChatRequest, chat(**{name: value}))
        for name in requests.ChatRequest.model_fields
        for value in (object, "x" * 1000, 1e300, -1, [{}], {"a": []})
    ]
    + [
        (analysis.AnalyzeRequest, {"audio": {"data": 1, "url": "http://"}, "style": 1}),
        (openai_embeddings.OpenAIEmbeddingRequest, {"input": [{"type": "audio", "audio": 1}]}),
        (openai_embeddings.OpenAIEmbeddingRequest, {"input": "text"}),
    ],
)
def test_no_message_has_the_words_of_the_validator(kind, fields):
    message = message_of(kind, fields)
    for words in ("Input should", "Value error", "valid dictionary", "pydantic", "instance of"):
        assert words not in message


def message_of(kind, fields):
    try:
        parse.validate_request(kind, fields)
    except BadRequest as error:
        return error.message
    return ""


QUESTION = {"type": "choice", "instructions": "a", "choices": [{"value": "b"}, {"value": "c"}]}
JSON = [{"type": "input_json", "data": 1}]
CHAT = "/v1/chat/completions"
CLOSE_FORMAT = (
    "text.format.type: must be 'text', 'json_object' or 'json_schema'; did you mean 'json_schema'?"
)


def asked(**fields):
    return {"input": "a", "questions": [QUESTION | fields]}


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            decisions.DecisionRequest,
            asked() | {"input": None},
            "input: must be a string or an array, not null",
        ),
        (
            decisions.DecisionRequest,
            asked(choices=[{"value": 1}, {"value": "a"}]),
            "questions[0].choices[0].value: must be a string or a boolean, not a number",
        ),
        (
            decisions.DecisionRequest,
            asked(choices=[{"value": "a", "label": "b"}, {"value": "b"}]),
            "parameter 'questions[0].choices[0].label' is unknown; allowed: 'description', 'value'",
        ),
        (
            decisions.DecisionRequest,
            asked(type=None),
            "questions[0].type: must be 'predicate', 'choice' or 'score'",
        ),
        (
            decisions.DecisionRequest,
            asked(instructions=JSON),
            "questions[0].instructions[0].data: must be an object or an array, not a number",
        ),
        (
            openai_responses.ResponsesRequest,
            {"input": "a", "tool_choice": 1},
            "tool_choice: must be 'none', 'auto', 'required' or an object, not a number",
        ),
        (
            openai_responses.ResponsesRequest,
            {"input": "a", "text": {"format": {"type": "json_shema"}}},
            CLOSE_FORMAT,
        ),
        (
            analysis.AnalyzeRequest,
            {"audio": {"data": ""}, "questions": [{"name": "a", "prompt": "b", "top_p": 2}]},
            "questions[0].top_p: must be a number from 0 to 1",
        ),
        (
            files.FileUpload,
            {"purpose": "batch", "expires_after": {"anchor": "created_at", "seconds": 1}},
            "expires_after.seconds: must be a whole number from 3600 to 2592000",
        ),
        (
            batches.BatchRequest,
            {"input_file_id": "a", "endpoint": CHAT, "completion_window": "24h"}
            | {"metadata": {"b" * 65: "c"}},
            f"metadata.{'b' * 64}…: its name must have at most 64 characters",
        ),
        (
            transcriptions.TranscriptionRequest,
            {"audio": {"data": ""}, "language": "English"},
            "language: must be the code of a language, such as en or pt-BR",
        ),
        (files.FileUpload, {"purpose": 1}, "purpose: must be 'batch' or 'user_data', not a number"),
        (
            requests.CaptionRequest,
            {"audio": {"data": ""}, "guided_json": 7},
            "guided_json: must be a string or an object, not a number",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reason_names_the_field_and_all_that_it_can_have(kind, fields, message):
    assert said(fields, kind) == message


@pytest.mark.parametrize(
    ("given", "meant"), [("message.output_text.logprob", True), ("foo", False), (7, False)]
)
def test_a_value_is_suggested_only_where_it_is_close(given, meant):
    kind = openai_responses.ResponsesRequest
    message = said({"input": "a", "include": [given]}, kind)
    assert message.startswith("include[0]: must be 'message.output_text.logprobs', 'reasoning.")
    assert ("did you mean 'message.output_text.logprobs'?" in message) is meant


def test_each_pattern_of_a_field_is_said_in_words():
    kinds = (
        analysis.AnalyzeRequest,
        openai_embeddings.OpenAIEmbeddingRequest,
        requests.ChatRequest,
        openai_responses.ResponsesRequest,
        transcriptions.TranscriptionRequest,
    )
    schemas = json.dumps([kind.model_json_schema() for kind in (*kinds, Recipe)])
    token_id = "^[0-9]{1,9}$"  # has a message of its own
    used = {json.loads(each) for each in re.findall(r'"pattern": ("[^"]*")', schemas)}
    assert used - {token_id} == set(reasons.PATTERNS)
