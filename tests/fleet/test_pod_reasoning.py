"""A real pod whose model writes what it thinks before it answers, as a grammar makes it do."""

import json

import pytest

THINKS = {"regex": "<think>[a-z]{5,9}</think>\n[A-G] (major|minor)"}
ASKED = {"messages": [{"role": "user", "content": "Which key?"}], "structured_outputs": THINKS}


def is_key(text):
    return text.endswith((" major", " minor"))


@pytest.fixture
def post(http):
    def send(path, **body):
        response = http.post(path, json=body)
        assert response.status_code == 200, response.text
        return response

    return send


def events(response):
    lines = response.text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_a_chat_has_the_reasoning_beside_the_answer(post):
    whole = post("/v1/chat/completions", **ASKED, logprobs=True).json()
    (choice,) = whole["choices"]
    message, usage = choice["message"], whole["usage"]
    assert is_key(message["content"])
    assert 5 <= len(message["reasoning_content"]) <= 9
    tokens = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < tokens < usage["completion_tokens"]
    text = "".join(each["token"] for each in choice["logprobs"]["content"])
    assert message["content"] in text
    assert "<think>" not in text


def test_a_stream_has_the_reasoning_first(post):
    whole = post("/v1/chat/completions", **ASKED).json()["choices"][0]["message"]
    chunks = events(post("/v1/chat/completions", **ASKED, stream=True))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    for name in ("content", "reasoning_content"):
        assert "".join(delta.get(name) or "" for delta in deltas) == whole[name]
    names = [name for delta in deltas for name in delta if delta[name] and name != "role"]
    assert names == sorted(names, reverse=True)


def test_a_response_has_an_item_of_reasoning(post):
    asked = {"input": "Which key?", "structured_outputs": THINKS}
    whole = post("/v1/responses", **asked).json()
    reasoning, message = whole["output"]
    assert (reasoning["type"], message["type"]) == ("reasoning", "message")
    assert is_key(message["content"][0]["text"])
    assert whole["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    again = [{"role": "user", "content": "Which key?"}, reasoning, message]
    assert post("/v1/responses", input=[*again, again[0]], max_output_tokens=4)


def test_a_caption_is_the_answer_alone(http, clips):
    files = {"file": clips["notes.mp3"]}
    body = {"request": json.dumps({"structured_outputs": THINKS})}
    answer = http.post("/v1/audio/captions", files=files, data=body).json()
    assert is_key(answer["caption"])
    assert "think" not in answer["caption"]


def test_an_answer_without_reasoning_does_not_mention_it(post):
    whole = post("/v1/chat/completions", messages=ASKED["messages"], max_tokens=4).json()
    assert "reasoning_content" not in whole["choices"][0]["message"]
    assert "completion_tokens_details" not in whole["usage"]


def test_a_budget_of_reasoning_is_refused_by_name(http):
    answer = http.post("/v1/chat/completions", json=ASKED | {"thinking_token_budget": 5})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "thinking_token_budget"
