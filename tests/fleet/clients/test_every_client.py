"""Other projects' clients against a router and two pods, each in its default way.

A program per client, in `programs`, runs the same cases and prints what came of each as JSON.
"""

import base64

import httpx2
import pytest

QUESTION = "What key is it in?"
SECOND_QUESTION = "And which tempo?"
OPENAI = {
    "refused": "openai.BadRequestError",
    "unknown_model": "openai.NotFoundError",
    "without_key": "openai.AuthenticationError",
    "busy": "openai.RateLimitError",
    "too_long": "openai.BadRequestError",
}
OPENAI_JS = {case: error.removeprefix("openai.") for case, error in OPENAI.items()}
RAISED = {
    "openai": OPENAI,
    "openai-1.40": OPENAI,
    "openai-1.0": OPENAI,
    "openai-js": OPENAI_JS,
    "openai-js-6": OPENAI_JS,
    "litellm": {
        "refused": "litellm.BadRequestError",
        "unknown_model": "litellm.NotFoundError",
        "without_key": "litellm.AuthenticationError",
        "busy": "litellm.RateLimitError",
        "too_long": "litellm.ContextWindowExceededError",
    },
    "langchain": {
        "refused": "langchain_core.ModelInvalidRequestError",
        "unknown_model": "langchain_core.ModelNotFoundError",
        "without_key": "langchain_core.ModelAuthenticationError",
        "busy": "langchain_core.ModelRateLimitError",
        "too_long": "langchain_core.ContextOverflowError",
    },
    "pydantic-ai": {
        "refused": "pydantic_ai.ModelRequestRejectedError",
        "unknown_model": "pydantic_ai.ModelNotFoundError",
        "without_key": "pydantic_ai.ModelAuthenticationError",
        "busy": "pydantic_ai.ModelOverloadedError",
        "too_long": "pydantic_ai.ModelContextWindowExceededError",
    },
    "instructor": dict.fromkeys(OPENAI, "instructor.InstructorRetryException"),
    "openai-agents": OPENAI,
    "ai-sdk-openai": dict.fromkeys([*OPENAI][1:], "APICallError"),
    "ai-sdk-responses": dict.fromkeys([*OPENAI][1:], "APICallError"),
    "ai-sdk-compatible": dict.fromkeys([*OPENAI][1:], "APICallError"),
}
"""The exception of each client for each case of an error."""
every_client = pytest.mark.parametrize("client", RAISED)
TALKERS = [name for name in RAISED if name not in ("instructor", "openai-agents")]
"""instructor has no answers but objects; openai-agents raises if an answer reaches its limit."""
every_talker = pytest.mark.parametrize("client", [*TALKERS, "openai-helpers"])
AI_SDK = ("ai-sdk-openai", "ai-sdk-responses", "ai-sdk-compatible")
TELLERS = ("litellm", "langchain", *AI_SDK)
EMBEDDERS = [name for name in TALKERS if name != "pydantic-ai"]


@pytest.fixture(scope="module")
def ask(fleet, clips):
    """Ask the fleet about the song without any client; an answer is asked about again."""
    song = base64.b64encode(clips["notes.mp3"]).decode()
    audio = {"type": "input_audio", "input_audio": {"data": song, "format": "mp3"}}

    def post(question, *earlier):
        asked = {"role": "user", "content": [{"type": "text", "text": question}, audio]}
        body = {"messages": [*earlier, asked], "max_tokens": 16}
        url = f"{fleet[0].address}/v1/chat/completions"
        answer = httpx2.post(url, json=body, timeout=60).json()
        return answer["choices"][0]["message"], answer["usage"], asked

    return post


@pytest.fixture(scope="module")
def plain(ask):
    """What the fleet answers to a request without any client."""
    message, usage, _ = ask(QUESTION)
    return {"text": message["content"], "usage": usage}


@pytest.fixture
def returned(outcomes):
    def value(client, case):
        outcome = outcomes(client)[case]
        assert "returned" in outcome, outcome
        return outcome["returned"]

    return value


@every_talker
def test_the_answer_is_the_same_as_without_a_client(returned, plain, client):
    assert returned(client, "answer")["text"] == plain["text"]
    assert len(plain["text"]) > 20


@every_talker
def test_the_answer_reports_its_usage(returned, plain, client):
    usage = returned(client, "answer")["usage"]
    num_tokens = usage.get("prompt_tokens") or usage["input_tokens"]
    assert num_tokens == plain["usage"]["prompt_tokens"]


@every_talker
def test_a_stream_adds_up_to_the_answer(returned, plain, client):
    assert returned(client, "stream") == plain["text"]


@pytest.mark.parametrize("client", TALKERS)
def test_an_answer_and_the_same_clip_again_are_part_of_the_next_turn(returned, ask, client):
    said, _, asked = ask(QUESTION)
    _, usage, _ = ask(SECOND_QUESTION, asked, said)
    assert returned(client, "second_turn") == usage["prompt_tokens"]


@pytest.mark.parametrize("client", ["openai-helpers", "openai-agents"])
def test_a_typed_answer_is_part_of_the_next_turn(returned, plain, client):
    assert returned(client, "second_turn") > plain["usage"]["prompt_tokens"]


@pytest.mark.parametrize("client", TELLERS)
def test_a_stream_reports_its_usage(returned, plain, client):
    assert returned(client, "stream_usage") == [plain["usage"]["prompt_tokens"]]


STREAMERS = ("openai-helpers", "openai-agents", "instructor", *AI_SDK)
OBJECTS = [
    *((client, "typed") for client in RAISED),
    ("pydantic-ai", "native_object"),
    ("instructor", "json_schema"),
    *((client, "streamed_object") for client in STREAMERS),
    *((client, "generated_object") for client in AI_SDK),
]
CALLERS = ("openai-helpers", "openai-js", "openai-js-6", "litellm", "langchain", *AI_SDK)
CALLS = [
    *((client, "called_function") for client in CALLERS),
    *((client, "streamed_call") for client in (*CALLERS, "pydantic-ai")),
    *((client, "any_function") for client in ("langchain", "openai-agents", *AI_SDK)),
]


def is_song(found):
    return (
        set(found) == {"genre", "tempo", "has_vocals"}
        and found["genre"] in {"rock", "pop", "jazz"}
        and 40 <= found["tempo"] <= 220
        and isinstance(found["has_vocals"], bool)
    )


@pytest.mark.parametrize(("client", "case"), OBJECTS)
def test_a_typed_object_is_returned(returned, client, case):
    assert is_song(returned(client, case))


@pytest.mark.parametrize(("client", "case"), CALLS)
def test_a_demanded_call_has_the_arguments_of_the_function(returned, client, case):
    assert is_song(returned(client, case))


@pytest.mark.parametrize("client", ["langchain", "pydantic-ai", *AI_SDK])
def test_a_model_that_has_the_choice_writes_text_and_calls_a_function(returned, client):
    text, song = returned(client, "left_to_the_model")
    assert text == "Hi."
    assert is_song(song)


def test_an_agent_whose_model_has_the_choice_calls_a_function_and_then_answers(returned):
    text, *kinds = returned("openai-agents", "left_to_the_model")
    assert text == "Hi."
    assert kinds == [
        "MessageOutputItem",
        "ToolCallItem",
        "ToolCallOutputItem",
        "MessageOutputItem",
    ]


@pytest.mark.parametrize("client", ["pydantic-ai", "instructor"])
def test_an_object_that_the_program_rejects_is_asked_for_again(returned, client):
    song = returned(client, "asked_again")
    assert song.pop("num_requests") == 2
    assert is_song(song)


def test_the_model_chooses_among_several_types(returned):
    found = returned("pydantic-ai", "one_of_two_types")
    assert found.pop("type") == ("Genre" if len(found) == 1 else "Song")
    assert found["genre"] in {"rock", "pop", "jazz"}


@pytest.mark.parametrize("client", CALLERS)
def test_the_result_of_a_call_is_answered_with_text(returned, client):
    assert len(returned(client, "after_a_result")) > 20


@pytest.mark.parametrize("client", EMBEDDERS)
def test_a_clip_is_embedded(returned, client):
    assert returned(client, "embedding") == pytest.approx(returned("openai", "embedding"), abs=1e-6)
    assert len(returned(client, "embedding")) == 64


ERRORS = [(client, case) for client, cases in RAISED.items() for case in cases]


@pytest.mark.parametrize(("client", "case"), ERRORS)
def test_an_error_is_the_exception_that_the_client_has_for_it(outcomes, client, case):
    outcome = outcomes(client)[case]
    assert RAISED[client][case] in outcome.get("raised", ()), outcome


def test_the_official_client_has_the_id_of_a_request_and_sends_extra_parameters(returned):
    (header, attribute), (one, same) = (
        returned("openai-helpers", case) for case in ("request_id", "extra_parameters")
    )
    assert header == attribute
    assert header.startswith("req-")
    assert one == same


@pytest.mark.parametrize("client", TALKERS)
def test_a_stream_that_is_closed_early_ends_at_the_pod(returned, client):
    assert returned(client, "closed_stream")
