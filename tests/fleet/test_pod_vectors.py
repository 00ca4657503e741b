"""`/v1/embeddings` of a real pod: the same numbers as our own route, one vector per clip."""

import base64
import re

import numpy as np
import pytest

ROUTE = "/v1/embeddings"


def as_url(data):
    return f"data:audio/mpeg;base64,{base64.b64encode(data).decode()}"


def vectors(http, **fields):
    answer = http.post(ROUTE, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pooled(http, data, **fields):
    options = {"pooling": "mean"} | fields
    answer = http.post("/v1/audio/embeddings", files={"file": data}, data=options).json()
    return answer["data"][0]["embedding"][0]


@pytest.mark.parametrize("layer", ["encoder", "projector"])
def test_a_vector_is_the_pooled_embedding(http, clips, layer):
    answer = vectors(http, input=as_url(clips["notes.mp3"]), layer=layer)
    assert re.fullmatch("clip-[0-9a-f]{40}", answer["data"][0].pop("audio")["id"])
    assert answer["data"][0] == {
        "object": "embedding",
        "index": 0,
        "embedding": pooled(http, clips["notes.mp3"], layer=layer),
    }
    assert (answer["object"], answer["model"]) == ("list", "flamingo-tiny")


def test_base64_is_little_endian_float32(http, clips):
    url = as_url(clips["notes.mp3"])
    packed = vectors(http, input=url, encoding_format="base64")["data"][0]["embedding"]
    plain = vectors(http, input=url)["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(packed), "<f4").tolist() == plain


def test_every_way_to_send_a_clip_gives_the_same_vector(http, clips):
    data = clips["notes.mp3"]
    audio = {"data": base64.b64encode(data).decode()}
    parts = [
        {"type": "input_audio", "input_audio": audio | {"format": "mp3"}},
        {"type": "audio_url", "audio_url": {"url": as_url(data)}},
        {"type": "audio", "audio": audio},
    ]
    answers = [vectors(http, input=part) for part in [as_url(data), *parts, [as_url(data)]]]
    answers.append(vectors(http, messages=[{"role": "user", "content": parts[:1]}]))
    answers.append(http.post(ROUTE, files={"file": data}, data={"dimensions": "64"}).json())
    assert len({str(answer["data"]) for answer in answers}) == 1
    assert len({str(answer["usage"]) for answer in answers}) == 1


def test_several_clips_have_indices_and_one_usage(http, clips):
    names = ["drums.wav", "notes.mp3", "drums.wav"]
    answer = vectors(http, input=[as_url(clips[name]) for name in names])
    assert [row["index"] for row in answer["data"]] == [0, 1, 2]
    assert [row["embedding"] for row in answer["data"]] == [
        pooled(http, clips[name]) for name in names
    ]
    alone = [vectors(http, input=as_url(clips[name]))["usage"] for name in names]
    assert answer["usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in alone)


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"input": "a sad song"}, 400, "invalid_request", "input"),
        ({"input": [1, 2]}, 400, "invalid_request", "input"),
        ({"input": "data:audio/mpeg;base64,AAAA"}, 400, "invalid_audio", "input"),
        ({"input": "data:audio/mpeg,AAAA"}, 400, "invalid_audio", "input"),
        ({"input": "http://127.0.0.1:1/song.mp3"}, 422, "media_fetch_failed", "input"),
        ({"input": "data:audio/mpeg;base64,AAAA", "model": "x"}, 404, "model_not_found", "model"),
        (
            {"input": "data:audio/mpeg;base64,AAAA", "dimensions": 32},
            400,
            "unsupported_parameter",
            "dimensions",
        ),
    ],
)
def test_what_cannot_be_embedded_is_rejected(http, fields, status, code, param):
    answer = http.post(ROUTE, json=fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


def test_one_invalid_clip_fails_the_request(http, clips):
    good, bad = as_url(clips["notes.mp3"]), as_url(b"no audio")
    answer = http.post(ROUTE, json={"input": [good, bad]})
    assert answer.json()["error"]["code"] == "invalid_audio"


def test_a_form_has_one_clip_and_no_input(http, clips):
    fields = {"input": as_url(clips["notes.mp3"])}
    answer = http.post(ROUTE, files={"file": clips["notes.mp3"]}, data=fields)
    assert "both in the part file and in the field" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["a b", "stop[0]", "é", ""])
def test_a_form_field_with_an_invalid_name_is_rejected_with_a_hint(http, clips, name):
    body = (
        (
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n1\r\n'
            '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        ).encode()
        + clips["notes.mp3"]
        + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = http.post("/v1/audio/captions", content=body, headers=headers)
    assert answer.status_code == 400
    assert "request" in answer.json()["error"]["message"]
