"""The official `openai` package against a real router and two real pods."""

import base64

import openai
import pytest


@pytest.fixture
def client(fleet):
    router, _ = fleet
    with openai.OpenAI(base_url=f"{router.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def about(data, question="What key is it in?", kind="mp3"):
    audio = {"data": base64.b64encode(data).decode(), "format": kind}
    parts = [
        {"type": "text", "text": question},
        {"type": "input_audio", "input_audio": audio},
    ]
    return [{"role": "user", "content": parts}]


def test_a_streamed_chat_about_an_mp3(client, clips):
    stream = client.chat.completions.create(
        model="flamingo-tiny",
        messages=about(clips["notes.mp3"]),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = client.chat.completions.create(
        model="flamingo-tiny", messages=about(clips["notes.mp3"])
    )
    assert text == whole.choices[0].message.content
    assert len(text) > 20
    assert chunks[-1].usage == whole.usage
    assert whole.usage.prompt_tokens_details.audio_tokens == pytest.approx(37, abs=2)


def test_extra_parameters_go_through(client, clips):
    answers = {
        client.chat.completions.create(
            model="flamingo-tiny",
            messages=about(clips["notes.mp3"]),
            temperature=1.0,
            seed=5,
            max_completion_tokens=12,
            extra_body={"top_k": 40, "min_p": 0.01},
        )
        .choices[0]
        .message.content
        for _ in range(2)
    }
    assert len(answers) == 1


def test_models_are_listed_and_found(client):
    assert [model.id for model in client.models.list()] == ["flamingo-tiny"]
    assert client.models.retrieve("flamingo-tiny").owned_by == "flamingo-fleet"


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        pytest.param({"model": "gpt-4o"}, openai.NotFoundError, "model_not_found", id="model"),
        pytest.param({"messages": []}, openai.BadRequestError, "invalid_request", id="nothing"),
        pytest.param(
            {"messages": about(b"no audio")}, openai.BadRequestError, "invalid_audio", id="audio"
        ),
        pytest.param({"n": 2}, openai.BadRequestError, "unsupported_parameter", id="n"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_the_exception_that_the_client_knows(client, changes, error, code, stream):
    asked = {"model": "flamingo-tiny", "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(error) as caught:
        client.chat.completions.create(**(asked | changes), stream=stream)
    assert caught.value.code == code
    assert caught.value.request_id.startswith("req-")
