"""A real pod whose model writes what it thinks before it answers, as a grammar makes it do."""

import contextlib
import json

import httpx2
import pytest
from fakes import processes, thinking_checkpoint
from fakes.batch_service import BatchService, create, lines_of, question, wait

from flamingo_pod.model.builtin import tokenizer

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


def test_a_model_that_does_not_reason_has_no_budget_for_it(http, post):
    answer = http.post("/v1/chat/completions", json=ASKED | {"thinking_token_budget": 5})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("thinking_token_budget", "unsupported_parameter")
    assert "--reasoning-parser think" in error["message"]
    for none in ({"thinking_token_budget": 0}, {"thinking_token_budget": -1}, *NONE):
        post("/v1/chat/completions", messages=ASKED["messages"], max_tokens=2, **none)


NONE = [
    {"reasoning_effort": "none"},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"enable_thinking": False},
    {"thinking": {"type": "disabled"}},
    {"reasoning": {"effort": "none"}},
]
"""What asks for an answer without reasoning."""
KEY = {"structured_outputs": {"regex": "[A-G] (major|minor)"}}
QUESTION = {"messages": ASKED["messages"], "temperature": 0, "max_tokens": 60}


@pytest.fixture(scope="module")
def thinking(model_cache, tmp_path_factory):
    """A pod whose model thinks in every answer, as its chat template makes it do."""
    folder = thinking_checkpoint.write(tmp_path_factory.mktemp("model") / "thinking")
    log = tmp_path_factory.mktemp("pod") / "log"
    with processes.service("flamingo_pod", "--model", str(folder), log=log) as running:
        processes.wait_until_ready(running)
        yield running


@pytest.fixture
def ask(thinking):
    with httpx2.Client(base_url=thinking.address, timeout=60) as client:

        def send(path="/v1/chat/completions", **body):
            response = client.post(path, json=body)
            assert response.status_code == 200, response.text
            return response

        yield send


def test_a_pod_says_whether_its_model_thinks(thinking):
    records = [json.loads(line) for line in thinking.log.read_text().splitlines() if line[0] == "{"]
    (found,) = [each for each in records if each["event"] == "model.reasoning"]
    assert (found["thinks"], "template" in found["reason"]) == (True, True)
    (card,) = httpx2.get(f"{thinking.address}/v1/models").json()["data"]
    assert card["reasoning"] is True


NUM_MARK = 9
"""Tokens of the closing mark and its line ends."""


@pytest.mark.parametrize("budget", [0, 1, 12])
def test_reasoning_ends_behind_its_budget_and_the_answer_follows(ask, budget):
    whole = ask(**QUESTION, thinking_token_budget=budget).json()
    message, usage = whole["choices"][0]["message"], whole["usage"]
    assert bool(message.get("reasoning_content")) == bool(budget)
    assert message["content"]
    assert "think>" not in message["content"] + message.get("reasoning_content", "")
    details = usage["completion_tokens_details"]
    assert details["reasoning_tokens"] == budget + NUM_MARK
    assert usage["completion_tokens"] == 60


def test_without_a_budget_reasoning_lasts_as_long_as_the_model_likes(ask):
    for body in ({}, {"thinking_token_budget": -1}):
        whole = ask(**QUESTION, **body).json()
        message, usage = whole["choices"][0]["message"], whole["usage"]
        assert (message["content"], bool(message["reasoning_content"])) == ("", True)
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 60


@pytest.mark.parametrize("body", NONE, ids=str)
def test_whoever_asks_for_no_reasoning_gets_none(ask, body):
    message = ask(**QUESTION, **body).json()["choices"][0]["message"]
    assert message == ask(**QUESTION, thinking_token_budget=0).json()["choices"][0]["message"]
    assert "reasoning_content" not in message


def test_a_constrained_answer_follows_the_reasoning(ask):
    whole = ask(**QUESTION, **KEY, thinking_token_budget=7, logprobs=True).json()
    (choice,) = whole["choices"]
    assert is_key(choice["message"]["content"])
    assert choice["message"]["reasoning_content"]
    assert choice["finish_reason"] == "stop"
    tokens = [each["token"] for each in choice["logprobs"]["content"]]
    assert "".join(tokens) == choice["message"]["content"]
    usage = whole["usage"]
    num_reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    # The end of the answer is a token, too, which is no text.
    assert usage["completion_tokens"] - num_reasoning == len(tokens)


def test_the_json_of_a_thinking_model_follows_its_reasoning(ask, no_spaces):
    schema = {"type": "object", "properties": {"key": {"enum": ["C", "D"]}}, "required": ["key"]}
    schema |= {"additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "key", "schema": schema}}
    options = {"logit_bias": no_spaces, "thinking_token_budget": 5}
    whole = ask(**QUESTION, **options, response_format=form).json()
    message = whole["choices"][0]["message"]
    assert json.loads(message["content"])["key"] in ("C", "D")
    assert message["reasoning_content"]


def test_each_choice_has_a_budget_of_its_own(ask):
    sampled = QUESTION | {"temperature": 1, "seed": 3, "n": 2, "thinking_token_budget": 6}
    whole = ask(**sampled, **KEY).json()
    texts = [choice["message"]["reasoning_content"] for choice in whole["choices"]]
    assert texts[0] != texts[1]
    assert all(is_key(choice["message"]["content"]) for choice in whole["choices"])
    details = whole["usage"]["completion_tokens_details"]
    assert details["reasoning_tokens"] == 2 * (6 + NUM_MARK)
    alone = ask(**sampled | {"n": 1, "seed": 4}, **KEY).json()["choices"][0]["message"]
    assert whole["choices"][1]["message"] == alone


def test_a_stream_of_a_budget_is_the_whole_answer(ask):
    body = QUESTION | {"thinking_token_budget": 10, **KEY}
    whole = ask(**body).json()["choices"][0]["message"]
    chunks = events(ask(**body, stream=True, stream_options={"include_usage": True}))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    for name in ("content", "reasoning_content"):
        assert "".join(delta.get(name) or "" for delta in deltas) == whole[name]
    usage = chunks[-1]["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 10 + NUM_MARK


def test_stop_strings_hold_in_reasoning_too(ask):
    thought = ask(**QUESTION, thinking_token_budget=20).json()["choices"][0]["message"]
    stop = thought["reasoning_content"].split()[1][:3]
    whole = ask(**QUESTION, thinking_token_budget=20, stop=[stop]).json()["choices"][0]
    assert whole["stop_reason"] == stop
    assert whole["message"]["content"] == ""


def test_a_response_has_a_budget(ask):
    body = {"input": "Which key?", "max_output_tokens": 60, **KEY}
    whole = ask("/v1/responses", **body, thinking_token_budget=5).json()
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert is_key(whole["output"][1]["content"][0]["text"])
    assert whole["usage"]["output_tokens_details"]["reasoning_tokens"] == 5 + NUM_MARK
    none = ask("/v1/responses", **body, reasoning={"effort": "none"}).json()
    assert [item["type"] for item in none["output"]] == ["message"]


def test_captions_and_questions_have_a_budget(thinking, clips):
    def post(path, request):
        answer = httpx2.post(
            thinking.address + path,
            files={"file": clips["notes.mp3"]},
            data={"request": json.dumps(request)},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    caption = post("/v1/audio/captions", {**KEY, "thinking_token_budget": 4})
    assert is_key(caption["caption"])
    details = caption["usage"]["completion_tokens_details"]
    assert details["reasoning_tokens"] == 4 + NUM_MARK
    questions = [
        {"name": "short", "prompt": "Which key?", "thinking_token_budget": 2, **KEY},
        {"name": "same", "prompt": "Which key?", **KEY},
    ]
    body = {"questions": questions, "reasoning_effort": "none"}
    answers = post("/v1/audio/analyze", body)["answers"]
    assert all(is_key(answer["content"]) for answer in answers.values())
    short, same = (answers[name]["usage"] for name in ("short", "same"))
    assert short["completion_tokens"] > same["completion_tokens"]


def test_lines_of_a_batch_have_a_budget(thinking, tmp_path):
    stores = ("--database-url", f"sqlite:///{tmp_path}/batches.db")
    flags = ("--server-url", thinking.address, *stores, "--contents-url", str(tmp_path / "files"))
    service = BatchService(tmp_path, flags)
    options = {"temperature": 0, "max_tokens": 60, "thinking_token_budget": 3, **KEY}
    with contextlib.ExitStack() as stack:
        stack.callback(service.stop)
        client = service.start()
        lines = [question(number, **options) for number in range(3)]
        batch = wait(client, create(client, lines).id)
        results = lines_of(client, batch.output_file_id)
    answers = [each["response"]["body"]["choices"][0]["message"] for each in results]
    assert len(answers) == 3
    assert all(is_key(answer["content"]) for answer in answers)
    num_reasoning = batch.usage.output_tokens_details.reasoning_tokens
    assert num_reasoning == 3 * (3 + NUM_MARK)


def test_the_confidence_in_an_answer_is_about_the_answer_alone(thinking, clips):
    question = {"name": "key", "prompt": "Which key?", **KEY}
    body = {"questions": [question], "confidence": True, "temperature": 0}

    def answer(budget):
        found = httpx2.post(
            f"{thinking.address}/v1/audio/analyze",
            files={"file": clips["notes.mp3"]},
            data={"request": json.dumps(body | {"thinking_token_budget": budget})},
            timeout=60,
        )
        assert found.status_code == 200, found.text
        return found.json()["answers"]["key"]

    for budget in (0, 5):
        (value,) = answer(budget)["confidence"].values()
        assert 0 < value < 1


def test_a_demanded_call_and_a_decision_are_not_reasoned(ask):
    parameters = {"type": "object", "properties": {"key": {"enum": ["C", "D"]}}}
    parameters |= {"required": ["key"]}
    tool = {"type": "function", "function": {"name": "set_key", "parameters": parameters}}
    whole = ask(
        **QUESTION | {"thinking_token_budget": 5}, tools=[tool], tool_choice="required"
    ).json()
    message = whole["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"])["key"] in ("C", "D")
    assert "completion_tokens_details" not in whole["usage"]
    decided = ask(
        "/v1/decisions",
        input="A song.",
        questions=[{"type": "predicate", "instructions": "It is loud."}],
    ).json()
    assert 0 < decided["answers"][0]["probability"] < 1


def test_a_setting_says_that_a_model_thinks(model_cache, tmp_path, post):
    flags = ("--model", "flamingo-tiny", "--reasoning-parser", "think")
    (bias,) = tokenizer.build()("<", add_special_tokens=False)["input_ids"]
    body = QUESTION | KEY | {"thinking_token_budget": 6}
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as running:
        processes.wait_until_ready(running)
        with httpx2.Client(base_url=running.address, timeout=60) as client:

            def ask(**options):
                answer = client.post("/v1/chat/completions", json=body | options)
                assert answer.status_code == 200, answer.text
                return answer.json()["choices"][0]["message"]

            thought, at_once = ask(logit_bias={bias: 100}), ask(logit_bias={bias: -100})
    # The last of the six is the beginning of the mark, which is then completed.
    assert thought["reasoning_content"] == "<" * 5
    assert is_key(thought["content"])
    plain = {name: value for name, value in body.items() if name != "thinking_token_budget"}
    expected = post("/v1/chat/completions", **plain, logit_bias={bias: -100}).json()
    assert at_once == expected["choices"][0]["message"]
