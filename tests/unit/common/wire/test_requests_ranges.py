"""The values that a field takes are those that OpenAI's and vLLM's servers take."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import analysis, openai_embeddings, parse, requests


def chat(**fields):
    return parse.validate_request(
        requests.ChatRequest, {"messages": [{"role": "user", "content": "hi"}]} | fields
    )


TAKEN = {
    "seed": [-1, -2, 0, -(2**63), 2**63 - 1, 8.0, None],
    "top_k": [0, -1, 1, 2**31 - 1, 40.0, None],
    "top_p": [0, 0.0, 1, 1e-9, None],
    "min_p": [0, 1, None],
    "temperature": [0, 2, 0.0, None],
    "repetition_penalty": [1, 0.01, 10, None],
    "frequency_penalty": [-2, 0, 2, None],
    "presence_penalty": [-2, 0, 2, None],
    "max_tokens": [1, 8.0, None],
    "max_completion_tokens": [1, None],
    "n": [1, 8, 1.0, None],
    "stop": [[], "", None, "a", ["a", "b"]],
    "logit_bias": [{}, None, {"1": -100}, {"1": 100.0}],
    "logprobs": [True, False, None],
    "top_logprobs": [0, None],
    "response_format": [None, {"type": "text"}],
    "stream": [True, False, None],
    "stream_options": [None, {}, {"include_usage": None}],
    "model": ["", None, "flamingo"],
    "truncate": [None, True],
    "min_tokens": [0, None],
    "stop_token_ids": [[], None],
    "ignore_eos": [False, None],
}
REFUSED = {
    "seed": [2**63, -(2**63) - 1, 0.5, True, "7"],
    "top_k": [-2, 0.5, 2**31],
    "top_p": [-0.1, 1.1],
    "min_p": [-0.1, 1.1],
    "temperature": [-0.1, 2.1, "hot", True],
    "repetition_penalty": [0, -1, 10.1],
    "max_tokens": [0, -1, 8.5, True],
    "n": [0, 9, -1],
    "stop": [["a"] * 5, [None], 7],
    "logit_bias": [{"1": 101}, [], {"1": None}],
    "logprobs": [0, 1, 5, "true"],
    "top_logprobs": [-1, 21],
    "stream": ["true", 1],
}


def cases(table):
    return [
        pytest.param(name, value, id=f"{name}={value!r}"[:40])
        for name, values in table.items()
        for value in values
    ]


@pytest.mark.parametrize(("name", "value"), cases(TAKEN))
def test_a_value_that_other_servers_take_is_taken(name, value):
    chat(**{name: value})


@pytest.mark.parametrize(("name", "value"), cases(REFUSED))
def test_a_value_that_other_servers_refuse_is_refused_by_name(name, value):
    with pytest.raises(BadRequest) as caught:
        chat(**{name: value})
    assert caught.value.param.startswith(name)


@pytest.mark.parametrize("name", ["stop"])
def test_an_empty_stop_is_none(name):
    assert chat(stop="").stop == []
    assert chat(stop=[""]).stop == []
    assert chat(stop=["", "a"]).stop == ["a"]


@pytest.mark.parametrize(
    ("kind", "audio"),
    [
        (requests.CaptionRequest, {"audio": {"data": ""}}),
        (analysis.AnalyzeRequest, {"audio": {"data": ""}}),
        (requests.EmbeddingRequest, {"audio": {"data": ""}}),
        (openai_embeddings.OpenAIEmbeddingRequest, {"input": "data:,"}),
    ],
)
def test_null_is_unset_for_every_field_that_is_not_required(kind, audio):
    names = {name for name, field in kind.model_fields.items() if not field.is_required()}
    names -= set(audio)
    parsed = parse.validate_request(kind, audio | dict.fromkeys(names))
    for name in names:
        assert getattr(parsed, name) == kind.model_fields[name].default, name
