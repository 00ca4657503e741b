"""What each method sends, and what it returns, over a real socket."""

import asyncio
import base64
import io
import json
import re

import numpy as np
import pytest
from fakes import pods

from flamingo import AsyncFlamingoClient
from flamingo_common import errors
from flamingo_common.wire import responses

AUDIO = b"RIFF....WAVE, let us say"


class Base64Pod(pods.FakePod):
    """A pod that writes embeddings as a real one does when asked for base64."""

    def _whole(self, path):
        answer = super()._whole(path)
        numbers = np.array(pods.EMBEDDING.embedding, dtype="<f4")
        text = base64.b64encode(numbers.tobytes()).decode()
        told = pods.EMBEDDING.model_copy(update={"embedding": text})
        if isinstance(answer, responses.EmbeddingList):
            return answer.model_copy(update={"data": [told]})
        return answer.model_copy(update={"embedding": told})


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
    """Return the body's parts as (name, headers, bytes), in the order of the wire."""
    boundary = re.search(r"boundary=(\S+)", received.headers["Content-Type"])[1].encode()
    whole = received.body.split(b"--" + boundary)
    assert (whole[0], whole[-1].strip()) == (b"", b"--")
    split = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in whole[1:-1]]
    return [
        (re.search(rb'name="(\w+)"', head)[1].decode(), head, body.removesuffix(b"\r\n"))
        for head, _, body in split
    ]


def asked(received):
    return json.loads(parts(received)[0][2])


def test_request_goes_before_the_file_and_the_length_is_told():
    _, [received] = call("caption", AUDIO, style="brief", max_tokens=9)

    [(first, head, request), (second, _, file)] = parts(received)
    assert (first, second) == ("request", "file")
    assert b"Content-Type: application/json" in head
    assert json.loads(request) == {"style": "brief", "max_tokens": 9}
    assert file == AUDIO
    assert int(received.headers["Content-Length"]) == len(received.body)


def test_caption_is_the_servers_own_answer():
    result, [received] = call("caption", AUDIO)

    assert received.path == "/v1/audio/captions"
    assert result.caption == "a quiet song"
    assert result.usage.audio_seconds == pods.USAGE.audio_seconds


@pytest.mark.parametrize("pod", [pods.FakePod(), Base64Pod()], ids=["numbers", "base64"])
def test_embedding_is_asked_for_as_base64_and_comes_back_as_float32(pod):
    result, [received] = call("embed", AUDIO, layer="projector", pod=pod)

    assert received.path == "/v1/audio/embeddings"
    assert asked(received) == {
        "layer": "projector",
        "pooling": "none",
        "encoding_format": "base64",
    }
    assert result.embedding.dtype == np.float32
    assert result.embedding.tolist() == [[0.0, 0.5], [1.0, -0.5]]
    assert result.frame_timestamps.tolist() == [0.0, 0.04]
    assert result.usage.num_frames == 2


def test_analysis_is_words_and_numbers_from_one_request():
    result, [received] = call("analyze", AUDIO, pooling="mean", seed=3, pod=Base64Pod())

    assert received.path == "/v1/audio/analyze"
    assert asked(received)["encoding_format"] == "base64"
    assert (result.caption, result.embedding.shape) == ("a quiet song", (2, 2))


def test_question_about_a_clip_is_the_last_user_message_beside_the_file():
    result, [received] = call("ask", AUDIO, "Which key?", system="Be brief.", temperature=0)

    assert received.path == "/v1/chat/completions"
    assert asked(received) == {
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


def test_models_say_what_they_take():
    [card], _ = call("models")

    assert (card.id, card.max_audio_seconds) == ("fake", 1200)


def test_key_is_sent_as_bearer():
    _, [received] = call("caption", AUDIO, options={"api_key": "sk-1"})

    assert received.headers["Authorization"] == "Bearer sk-1"


def test_path_bytes_and_file_object_send_the_same_bytes(tmp_path):
    path = tmp_path / "a song, ünïcode.wav"
    path.write_bytes(AUDIO)

    with path.open("rb") as file:
        sources = [path, str(path), AUDIO, bytearray(AUDIO), io.BytesIO(AUDIO), file]
        sent = [parts(call("caption", source)[1][0])[1][2] for source in sources]

    assert sent == [AUDIO] * len(sources)


def test_callers_file_stays_open(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(AUDIO)

    with path.open("rb") as file:
        call("caption", file)
        assert not file.closed


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda folder: folder / "none.mp3", "none.mp3: no such file", id="missing"),
        pytest.param(lambda folder: folder, "is a directory", id="a folder"),
        pytest.param(lambda folder: _file(folder / "e.mp3", b""), "e.mp3: it is empty", id="empty"),
        pytest.param(lambda _: b"", "it is empty", id="no bytes"),
        pytest.param(lambda _: io.BytesIO(), "it is empty", id="an empty file object"),
    ],
)
def test_audio_that_is_not_there_is_told_before_any_request(tmp_path, make, why):
    pod = pods.FakePod()

    with pytest.raises(errors.InvalidAudio, match=why):
        call("caption", make(tmp_path), pod=pod)

    assert pod.received == []


def test_file_open_as_text_is_a_mistake_of_the_program():
    with pytest.raises(TypeError, match="'rb'"):
        call("caption", io.StringIO("la la la"))


def _file(path, content):
    path.write_bytes(content)
    return path
