"""What each method sends, and what it returns, over a real socket."""

import asyncio
import base64
import json
import re

import numpy as np
import pytest
from aiohttp import web
from fakes import pods

from flamingo import AsyncFlamingoClient
from flamingo_common import errors
from flamingo_common.wire import answers, responses

AUDIO = b"RIFF....WAVE, let us say"
ANSWER_USAGE = answers.AnswerUsage(prompt_tokens=2, completion_tokens=1)


class Base64Pod(pods.FakePod):
    """A pod that encodes embeddings as base64, as a real one does on request."""

    def _body(self, path):
        answer = super()._body(path)
        numbers = np.array(pods.EMBEDDING.embedding, dtype="<f4")
        text = base64.b64encode(numbers.tobytes()).decode()
        embedding = pods.EMBEDDING.model_copy(update={"embedding": text})
        if isinstance(answer, responses.EmbeddingList):
            return answer.model_copy(update={"data": [embedding]})
        return answer.model_copy(update={"embedding": embedding})


def call(method, *args, pod=None, options=None, **kwargs):
    """Return what `method` of a client of `pod` returns, and what the pod received."""
    pod = pod or pods.FakePod()

    async def scenario():
        async with (
            pods.running(pod) as address,
            AsyncFlamingoClient(address, **(options or {})) as client,
        ):
            return await getattr(client, method)(*args, **kwargs)

    return asyncio.run(scenario()), pod.received


def parts(received):
    """Return the body's parts as (name, headers, bytes), in their order."""
    boundary = re.search(r"boundary=(\S+)", received.headers["Content-Type"])[1].encode()
    whole = received.body.split(b"--" + boundary)
    assert (whole[0], whole[-1].strip()) == (b"", b"--")
    split = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in whole[1:-1]]
    return [
        (re.search(rb'name="(\w+)"', head)[1].decode(), head, body.removesuffix(b"\r\n"))
        for head, _, body in split
    ]


def sent_fields(received):
    return json.loads(parts(received)[0][2])


def test_parameters_precede_the_file_and_the_length_is_sent():
    _, [received] = call("caption", AUDIO, style="brief", max_tokens=9)

    [(first, head, request), (second, _, file)] = parts(received)
    assert (first, second) == ("request", "file")
    assert b"Content-Type: application/json" in head
    assert json.loads(request) == {"style": "brief", "max_tokens": 9}
    assert file == AUDIO
    assert int(received.headers["Content-Length"]) == len(received.body)


def test_caption_is_the_response_of_the_server():
    result, [received] = call("caption", AUDIO)

    assert received.path == "/v1/audio/captions"
    assert result.caption == "a quiet song"
    assert result.usage.audio_seconds == pods.USAGE.audio_seconds


@pytest.mark.parametrize("pod", [pods.FakePod(), Base64Pod()], ids=["numbers", "base64"])
def test_embedding_is_requested_as_base64_and_returned_as_float32(pod):
    result, [received] = call("embed", AUDIO, layer="projector", pod=pod)

    assert received.path == "/v1/audio/embeddings"
    assert sent_fields(received) == {
        "layer": "projector",
        "pooling": "none",
        "encoding_format": "base64",
    }
    assert result.embedding.dtype == np.float32
    assert result.embedding.tolist() == [[0.0, 0.5], [1.0, -0.5]]
    assert result.frame_timestamps.tolist() == [0.0, 0.04]
    assert result.usage.num_frames == 2


def test_analysis_has_caption_and_embedding_from_one_request():
    result, [received] = call("analyze", AUDIO, pooling="mean", seed=3, pod=Base64Pod())

    assert received.path == "/v1/audio/analyze"
    assert sent_fields(received)["encoding_format"] == "base64"
    assert (result.caption, result.embedding.shape) == ("a quiet song", (2, 2))


def test_questions_and_recipes_are_one_request_without_an_embedding():
    body = answers.Analysis(
        id="x",
        created=0,
        model="m",
        usage=pods.USAGE,
        answers={
            "mood": answers.Answer(
                content="calm", finish_reason="stop", usage=ANSWER_USAGE, parsed=["calm"]
            )
        },
    )

    class AnsweringPod(pods.FakePod):
        def _body(self, path):
            return body

    questions = {"mood": "What is the mood?", "key": {"prompt": "Key?", "max_tokens": 4}}
    result, [received] = call(
        "analyze", AUDIO, questions=questions, recipes=["card"], pod=AnsweringPod()
    )

    assert sent_fields(received) == {
        "questions": [
            {"name": "mood", "prompt": "What is the mood?"},
            {"name": "key", "prompt": "Key?", "max_tokens": 4},
            {"name": "card", "recipe": "card"},
        ]
    }
    assert result.answers["mood"].parsed == ["calm"]
    assert (result.caption, result.embedding) == (None, None)


def test_an_embedding_beside_answers_is_requested_by_its_options():
    _, [received] = call(
        "analyze",
        AUDIO,
        questions=[{"name": "a", "style": "brief"}],
        pooling="mean",
        pod=Base64Pod(),
    )
    assert sent_fields(received) == {
        "questions": [{"name": "a", "style": "brief"}],
        "pooling": "mean",
        "encoding_format": "base64",
    }


def test_question_is_the_last_user_message_beside_the_file():
    result, [received] = call("ask", AUDIO, "Which key?", system="Be brief.", temperature=0)

    assert received.path == "/v1/chat/completions"
    assert sent_fields(received) == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Which key?"},
        ],
        "temperature": 0,
    }
    assert parts(received)[1][2] == AUDIO
    assert (result.text, result.finish_reason) == ("a quiet song", "stop")


def test_chat_without_a_clip_is_plain_json():
    result, [received] = call("chat", [{"role": "user", "content": "Hello"}], stop="\n")

    assert received.headers["Content-Type"] == "application/json"
    assert json.loads(received.body) == {
        "messages": [{"role": "user", "content": "Hello"}],
        "stop": "\n",
    }
    assert result.text == "a quiet song"


def test_models_have_their_limits():
    [card], _ = call("models")

    assert (card.id, card.max_audio_seconds) == ("fake", 1200)


def test_api_key_is_sent_as_bearer_token():
    _, [received] = call("caption", AUDIO, options={"api_key": "sk-1"})

    assert received.headers["Authorization"] == "Bearer sk-1"


def test_fleet_report_of_a_router_is_parsed():
    endpoint = {"address": "http://a", "ready": True, "backlog_s": 1.5, "num_open": 2}
    body = {"endpoints": [{**endpoint, "load": None, "from_a_newer_router": 1}]}

    class Router(pods.FakePod):
        def app(self):
            app = super().app()
            app.router.add_get("/fleet", self._fleet)
            return app

        async def _fleet(self, _):
            return web.json_response(body)

    fleet, _ = call("fleet", pod=Router())

    assert fleet.endpoints[0].backlog_s == 1.5


@pytest.mark.parametrize(
    ("method", "advice"),
    [
        ("caption", r"stream_caption\(\)"),
        ("analyze", r"stream_analyze\(\)"),
        ("chat", r"stream_chat\(\)"),
        ("embed", "not streamed"),
    ],
)
def test_a_method_that_returns_one_response_names_the_one_that_streams(method, advice):
    argument = [{"role": "user", "content": "hi"}] if method == "chat" else AUDIO
    with pytest.raises(TypeError, match=advice):
        call(method, argument, stream=True)


@pytest.mark.parametrize("host", ["a..com", "a" * 64 + ".com"])
def test_a_host_that_no_resolver_takes_is_the_callers_error(host):
    async def scenario():
        async with AsyncFlamingoClient(f"http://{host}", max_retries=0) as client:
            await client.models()

    with pytest.raises(errors.BadRequest, match="its host is not valid"):
        asyncio.run(scenario())
