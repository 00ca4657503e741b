"""A real pod: minimum length, stop tokens and stop strings, on every route that generates."""

import json

import pytest

from flamingo_common.wire import sse
from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text.byte_level import token_bytes

TOKENIZER = tokenizer.build()
QUESTION = {"messages": [{"role": "user", "content": "Name a genre."}]}
END = str(TOKENIZER.eos_token_id)


def choice(http, **fields):
    answer = http.post("/v1/chat/completions", json=QUESTION | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0], answer.json()["usage"]["completion_tokens"]


def refusal(http, **fields):
    answer = http.post("/v1/chat/completions", json=QUESTION | fields)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


@pytest.fixture
def greedy(http):
    """The token ids of the greedy answer, from the bytes of its log probabilities."""
    whole, _ = choice(http, max_tokens=12, logprobs=True)
    texts = [bytes(entry["bytes"]) for entry in whole["logprobs"]["content"]]
    return [token_id_of(text) for text in texts]


def token_id_of(text):
    return next(i for i in range(len(TOKENIZER)) if token_bytes(TOKENIZER, i) == text)


def test_a_stop_token_ends_the_text_before_it_and_is_named(http, greedy):
    stop = greedy[4]
    at = greedy.index(stop)
    ended, num_tokens = choice(http, max_tokens=12, stop_token_ids=[stop], logprobs=True)
    assert ended["message"]["content"] == TOKENIZER.decode(greedy[:at])
    assert (ended["finish_reason"], ended["stop_reason"]) == ("stop", stop)
    assert num_tokens == len(ended["logprobs"]["content"]) == at


def test_the_stop_can_be_part_of_the_text(http, greedy):
    at = greedy.index(greedy[4])
    text = TOKENIZER.decode(greedy[: at + 1])
    for stops in ({"stop_token_ids": [greedy[4]]}, {"stop": [TOKENIZER.decode([greedy[4]])]}):
        kept, num_tokens = choice(http, max_tokens=12, include_stop_str_in_output=True, **stops)
        assert kept["message"]["content"] == text[: len(kept["message"]["content"])]
        assert kept["message"]["content"].endswith(TOKENIZER.decode([greedy[4]]))
        assert kept["finish_reason"] == "stop"
        assert num_tokens <= at + 1


def test_the_stop_string_is_named_in_the_last_chunk_of_a_stream(http, greedy):
    stop = TOKENIZER.decode([greedy[4]])
    fields = QUESTION | {"max_tokens": 12, "stop": [stop], "stream": True}
    answer = http.post("/v1/chat/completions", json=fields)
    chunks = [json.loads(each) for each in sse.EventDecoder().feed(answer.content)[:-1]]
    ends = [chunk["choices"][0] for chunk in chunks]
    assert ends[-1]["stop_reason"] == stop
    assert not any("stop_reason" in end for end in ends[:-1])


def test_an_answer_without_a_stop_names_none(http):
    ended, _ = choice(http, max_tokens=2)
    assert "stop_reason" not in ended


def test_the_model_cannot_end_an_answer_before_its_minimum(http):
    biased = {"logit_bias": {END: 100}, "max_tokens": 9}
    assert choice(http, **biased)[1] == 0
    ended, num_tokens = choice(http, min_tokens=5, **biased)
    assert (ended["finish_reason"], num_tokens) == ("stop", 5)


def test_an_ignored_end_leads_to_max_tokens(http):
    ended, num_tokens = choice(http, logit_bias={END: 100}, max_tokens=9, ignore_eos=True)
    assert (ended["finish_reason"], num_tokens) == ("length", 9)
    assert ended["message"]["content"] == "", "a control token has no text"


@pytest.mark.parametrize("route", ["captions", "analyze"])
def test_captions_have_a_minimum_length_too(http, clips, route):
    fields = {
        "min_tokens": "7",
        "max_tokens": "9",
        "request": json.dumps({"logit_bias": {END: 100}}),
    }
    answer = http.post(f"/v1/audio/{route}", files={"file": clips["notes.mp3"]}, data=fields)
    assert answer.json()["usage"]["completion_tokens"] == 7, answer.text


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"min_tokens": 9, "max_tokens": 8}, "min_tokens", "at most 8 tokens"),
        ({"min_tokens": 9, "max_completion_tokens": 8}, "min_tokens", "set max_completion_tokens"),
        ({"min_tokens": 30_000}, "min_tokens", "set max_tokens"),
        ({"min_tokens": -1}, "min_tokens", "from 0 to 32768"),
        ({"stop_token_ids": [1, 2**20]}, "stop_token_ids[1]", "does not exist"),
        ({"stop_token_ids": [-1]}, "stop_token_ids[0]", "at least 0"),
        ({"stop_token_ids": ["1"]}, "stop_token_ids[0]", "whole number"),
        ({"stop_token_ids": [1] * 200}, "stop_token_ids", "128"),
    ],
)
def test_what_cannot_be_met_is_refused(http, fields, param, reason):
    error = refusal(http, **fields)
    assert error["param"] == param
    assert reason in error["message"]
