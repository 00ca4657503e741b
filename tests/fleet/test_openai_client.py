"""The official `openai` package against a real router and two real pods."""

import base64
import math
from typing import Literal

import openai
import pydantic
import pytest


@pytest.fixture
def client(fleet):
    router, _ = fleet
    with openai.OpenAI(base_url=f"{router.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def messages_about(data, question="What key is it in?", kind="mp3"):
    audio = {"data": base64.b64encode(data).decode(), "format": kind}
    parts = [
        {"type": "text", "text": question},
        {"type": "input_audio", "input_audio": audio},
    ]
    return [{"role": "user", "content": parts}]


def test_a_streamed_chat_about_an_mp3(client, clips):
    stream = client.chat.completions.create(
        model="flamingo-tiny",
        messages=messages_about(clips["notes.mp3"]),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = client.chat.completions.create(
        model="flamingo-tiny", messages=messages_about(clips["notes.mp3"])
    )
    assert text == whole.choices[0].message.content
    assert len(text) > 20
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert whole.usage.prompt_tokens_details.audio_tokens == pytest.approx(37, abs=2)


def test_extra_parameters_are_accepted(client, clips):
    answers = {
        client.chat.completions.create(
            model="flamingo-tiny",
            messages=messages_about(clips["notes.mp3"]),
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


class Song(pydantic.BaseModel):
    genre: Literal["rock", "pop", "jazz"]
    tempo: int = pydantic.Field(ge=40, le=220)
    has_vocals: bool


def test_structured_output_is_parsed_into_the_requested_class(client, clips, no_spaces):
    answer = client.chat.completions.parse(
        model="flamingo-tiny",
        messages=messages_about(clips["notes.mp3"]),
        response_format=Song,
        logit_bias=no_spaces,
    )
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(answer.choices[0].message.parsed, Song)


def test_several_choices_with_their_logprobs(client, clips):
    parameters = {
        "model": "flamingo-tiny",
        "messages": messages_about(clips["notes.mp3"]),
        "n": 3,
        "temperature": 1.0,
        "seed": 11,
        "max_completion_tokens": 6,
        "logprobs": True,
        "top_logprobs": 2,
    }
    whole = client.chat.completions.create(**parameters)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    for choice in whole.choices:
        entries = choice.logprobs.content
        assert "".join(entry.token for entry in entries) == choice.message.content
        assert all(len(entry.top_logprobs) == 2 for entry in entries)
        assert all(0 < math.exp(entry.logprob) <= 1 for entry in entries)
    chunks = [
        chunk.choices[0] for chunk in client.chat.completions.create(**parameters, stream=True)
    ]
    for choice in whole.choices:
        own = [chunk for chunk in chunks if chunk.index == choice.index]
        assert "".join(chunk.delta.content or "" for chunk in own) == choice.message.content
        entries = [entry for chunk in own if chunk.logprobs for entry in chunk.logprobs.content]
        # The other sequences of a step may change the last digits.
        assert [entry.bytes for entry in entries] == [one.bytes for one in choice.logprobs.content]
        pairs = zip(entries, choice.logprobs.content, strict=True)
        assert all(math.isclose(one.logprob, two.logprob, abs_tol=1e-4) for one, two in pairs)
        assert own[-1].finish_reason == choice.finish_reason


def test_the_stream_helper_yields_every_delta_and_the_completion(client, clips):
    parameters = {"model": "flamingo-tiny", "messages": messages_about(clips["notes.mp3"])}
    whole = client.chat.completions.create(**parameters).choices[0].message.content
    stop = whole[30:36]  # the helper raises if the finish reason is `length`
    with client.chat.completions.stream(**parameters, stop=stop) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        answer = stream.get_final_completion()
    assert text == answer.choices[0].message.content == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"


def test_base64_and_float_embeddings_are_the_same(client, clips):
    song = f"data:audio/mpeg;base64,{base64.b64encode(clips['notes.mp3']).decode()}"
    packed = client.embeddings.create(model="flamingo-tiny", input=song)
    plain = client.embeddings.create(model="flamingo-tiny", input=song, encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-7)
    assert len(packed.data[0].embedding) == 64
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == pytest.approx(37, abs=2)


def test_several_clips_are_embedded_in_order(client, clips):
    parts = [
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(clips[name]).decode()}}
        for name in ("notes.mp3", "drums.wav")
    ]
    both = client.embeddings.create(model="flamingo-tiny", input=parts)
    alone = [client.embeddings.create(model="flamingo-tiny", input=part) for part in parts]
    assert [each.index for each in both.data] == [0, 1]
    for number, one in enumerate(alone):
        assert both.data[number].embedding == one.data[0].embedding
    assert both.usage.total_tokens == sum(one.usage.total_tokens for one in alone)


def test_text_input_to_embeddings_is_refused_with_the_reason(client):
    with pytest.raises(openai.BadRequestError, match="embeds audio, not text") as caught:
        client.embeddings.create(model="flamingo-tiny", input="a sad song")
    assert caught.value.param == "input"


def test_models_are_listed_and_retrieved(client):
    assert [model.id for model in client.models.list()] == ["flamingo-tiny"]
    assert client.models.retrieve("flamingo-tiny").owned_by == "flamingo-fleet"


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        pytest.param({"model": "gpt-4o"}, openai.NotFoundError, "model_not_found", id="model"),
        pytest.param({"messages": []}, openai.BadRequestError, "invalid_request", id="no messages"),
        pytest.param(
            {"messages": messages_about(b"no audio")},
            openai.BadRequestError,
            "invalid_audio",
            id="audio",
        ),
        pytest.param({"n": 9}, openai.BadRequestError, "invalid_request", id="n"),
        pytest.param({"store": True}, openai.BadRequestError, "unsupported_parameter", id="store"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_raises_the_exception_of_the_openai_package(client, changes, error, code, stream):
    parameters = {"model": "flamingo-tiny", "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(error) as caught:
        client.chat.completions.create(**(parameters | changes), stream=stream)
    assert caught.value.code == code
    assert caught.value.request_id.startswith("req-")
