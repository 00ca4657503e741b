"""Bad input: the right status and OpenAI's error object, without internals."""

import base64
import json
import struct

import numpy as np
import pytest
from clips import synthesise

ROUTES = ["captions", "embeddings", "analyze"]


def wav_header(rate_hz=16_000, channels=1, num_bytes=0):
    frame = channels * 2
    fmt = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame, frame, 16)
    chunks = b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", num_bytes)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + num_bytes) + b"WAVE" + chunks


def floats(samples):
    return synthesise.encoded(np.asarray(samples, np.float32), 16_000, "WAV", "FLOAT")


def noise(seconds):
    return np.random.default_rng(0).standard_normal(int(seconds * 16_000)).astype(np.float32) * 0.1


BAD_AUDIO = {
    "text": (b"this is not audio", "invalid_audio", "unsupported audio format"),
    "a playlist": (b"#EXTM3U\nhttp://127.0.0.1/x\n", "invalid_audio", "unsupported audio format"),
    "only a magic number": (b"fLaC" + b"\0" * 64, "invalid_audio", "damaged"),
    "a header only": (wav_header(), "invalid_audio", "0.0 ms"),
    "20 ms": (floats(noise(0.02)), "invalid_audio", "20.0 ms"),
    "not a number": (floats([0.1, np.nan] * 8000), "invalid_audio", "not finite"),
    "infinity": (floats([0.1, np.inf] * 8000), "invalid_audio", "not finite"),
    "integers as floats": (floats(noise(1) * 32768), "invalid_audio", "full scale is 1"),
    "1 Hz": (
        wav_header(1, num_bytes=4000) + b"\1\0" * 2000,
        "invalid_audio",
        "sample rate 1 Hz; supported",
    ),
    "64 channels": (
        wav_header(channels=64, num_bytes=12800) + b"\0" * 12800,
        "invalid_audio",
        "64 channels",
    ),
    "over 90 s": (synthesise.encoded(noise(91) * 0, 16_000, "FLAC"), "audio_too_long", "90 s"),
    "empty": (b"", "invalid_audio", "empty"),
}


def check(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    for secret in ("Traceback", "/site-packages", "0x", "Error(", "inference_pod", "soundfile"):
        assert secret not in error["message"]
    return error


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", BAD_AUDIO)
def test_audio_that_cannot_be_decoded_is_rejected(http, route, name):
    data, code, message = BAD_AUDIO[name]
    error = check(http.post(f"/v1/audio/{route}", files={"file": ("clip", data)}), 400, code)
    assert message in error["message"]


@pytest.mark.parametrize("name", BAD_AUDIO)
def test_the_same_audio_in_a_chat_is_rejected_too(http, name):
    data, code, message = BAD_AUDIO[name]
    audio = {"data": base64.b64encode(data).decode(), "format": "wav"}
    content = [{"type": "input_audio", "input_audio": audio}]
    body = {"messages": [{"role": "user", "content": content}]}
    assert message in check(http.post("/v1/chat/completions", json=body), 400, code)["message"]


@pytest.mark.parametrize("name", ["notes.flac", "notes.ogg", "notes.opus", "notes.m4a"])
def test_an_incomplete_clip_is_rejected_or_decoded_in_part(http, clips, name):
    data = clips[name][: len(clips[name]) // 2]
    answer = http.post("/v1/audio/captions", files={"file": data}, data={"max_tokens": "1"})
    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        check(answer, 400, "invalid_audio")


def about(url):
    part = b'{"type": "audio_url", "audio_url": {"url": "%s"}}' % url
    return b'{"messages": [{"role": "user", "content": [%s]}]}' % part


JSON_FAULTS = {
    "not JSON": (b"{", 400, "invalid_request"),
    "not an object": (b"[]", 400, "invalid_request"),
    "no messages": (b"{}", 400, "invalid_request"),
    "wrong type": (b'{"messages": 3}', 400, "invalid_request"),
    "unknown model": (
        b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}]}',
        404,
        "model_not_found",
    ),
    "not base64": (
        b'{"messages": [{"role": "user", "content": [{"type": "audio", "audio": {"data": "*"}}]}]}',
        400,
        "invalid_audio",
    ),
    "a control token": (
        b'{"messages": [{"role": "user", "content": "<|sound_bos|>"}]}',
        400,
        "invalid_request",
    ),
    "a tool without a choice": (
        json.dumps(
            {
                "tools": [{"type": "function", "function": {"name": "a"}}],
                "messages": [{"role": "user", "content": "a"}],
            }
        ).encode(),
        400,
        "unsupported_parameter",
    ),
    "too long a context": (
        b'{"max_tokens": 32768, "messages": [{"role": "user", "content": "a"}]}',
        400,
        "context_length_exceeded",
    ),
    "an address inside": (
        about(b"http://localhost:1/"),
        422,
        "media_fetch_failed",
    ),
    "a local file": (
        about(b"file:///etc/passwd"),
        400,
        "invalid_request",
    ),
    "a token that is not there": (
        b'{"logit_bias": {"5": 1, "1024": 1}, "messages": [{"role": "user", "content": "a"}]}',
        400,
        "invalid_request",
    ),
    "a bias for a word": (
        b'{"logit_bias": {"the": 1}, "messages": [{"role": "user", "content": "a"}]}',
        400,
        "invalid_request",
    ),
    "too many choices": (
        b'{"n": 9, "messages": [{"role": "user", "content": "a"}]}',
        400,
        "invalid_request",
    ),
    "alternatives without logprobs": (
        b'{"top_logprobs": 2, "messages": [{"role": "user", "content": "a"}]}',
        400,
        "invalid_request",
    ),
    "a number too large": (
        b'{"max_tokens": 1000000000, "messages": [{"role": "user", "content": "a"}]}',
        400,
        "invalid_request",
    ),
    "endless nesting": (b'{"messages":' + b"[" * 50_000, 400, "invalid_request"),
}


@pytest.mark.parametrize("name", JSON_FAULTS)
def test_an_invalid_chat_is_rejected(http, name):
    body, status, code = JSON_FAULTS[name]
    headers = {"content-type": "application/json"}
    check(http.post("/v1/chat/completions", content=body, headers=headers), status, code)


def test_the_message_names_an_unknown_token(http):
    body = {"messages": [{"role": "user", "content": "a"}], "logit_bias": {"5": 1, "1024": 1}}
    error = check(http.post("/v1/chat/completions", json=body), 400, "invalid_request")
    assert error["param"] == "logit_bias"
    assert "token id 1024 does not exist; the model's token ids are 0 to 1023" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_context_error_names_the_field_that_exceeds_it(http, field, stream):
    body = {"messages": [{"role": "user", "content": "a"}], "stream": stream, field: 32768}
    error = check(http.post("/v1/chat/completions", json=body), 400, "context_length_exceeded")
    assert error["message"].startswith("This model's maximum context length is ")
    assert error["param"] == field


BAD_SCHEMAS = {
    "a keyword that is not enforced": ({"type": "object", "not": {}}, "not"),
    "nothing satisfies it": ({"type": "integer", "minimum": 2, "maximum": 1}, ""),
    "too deep": ({"a": json.loads("[" * 100 + "]" * 100)}, "nested"),
    "too large": ({"description": "a" * 70_000}, "65536 bytes"),
    "takes too long to build": ({"type": "integer", "multipleOf": 999_983}, "time or memory"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_an_unsupported_schema_is_rejected_before_the_response_starts(http, name, stream):
    schema, message = BAD_SCHEMAS[name]
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = {"messages": [{"role": "user", "content": "a"}], "response_format": wanted}
    answer = http.post("/v1/chat/completions", json=body | {"stream": stream})
    error = check(answer, 400, "invalid_request")
    assert error["param"] == "response_format"
    assert message in error["message"]


@pytest.mark.parametrize("route", ["captions", "analyze"])
@pytest.mark.parametrize("field", ["n", "logprobs", "top_logprobs"])
def test_parameters_only_of_chats_are_rejected_elsewhere_by_name(http, clips, route, field):
    answer = http.post(f"/v1/audio/{route}", files={"file": clips["notes.ogg"]}, data={field: "2"})
    assert check(answer, 400, "unsupported_parameter")["param"] == field


@pytest.mark.parametrize("route", ROUTES)
def test_missing_audio_is_attributed_to_its_field(http, route):
    assert (
        check(http.post(f"/v1/audio/{route}", json={}), 400, "invalid_request")["param"] == "audio"
    )
    both = {"audio": {"data": "AAAA", "url": "https://example.org"}}
    check(http.post(f"/v1/audio/{route}", json=both), 400, "invalid_request")


def test_the_message_about_an_unknown_style_lists_the_known_ones(http, clips):
    answer = http.post(
        "/v1/audio/captions", files={"file": clips["notes.ogg"]}, data={"style": "x"}
    )
    assert "'detailed', 'brief' or 'technical'" in check(answer, 400, "invalid_request")["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_another_media_type_is_rejected(http, content_type):
    answer = http.post("/v1/audio/captions", content=b"a=b", headers={"content-type": content_type})
    check(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [b"", b"--x", b"--x\r\n\r\nno name\r\n--x--\r\n", b"garbage without a boundary"],
    ids=["empty", "cut", "no name", "no boundary"],
)
def test_a_malformed_form_is_rejected(http, body):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    check(http.post("/v1/audio/captions", content=body, headers=headers), 400, "invalid_request")


def test_a_form_without_a_boundary_is_rejected(http):
    headers = {"content-type": "multipart/form-data"}
    check(http.post("/v1/audio/captions", content=b"x", headers=headers), 400, "invalid_request")


def test_a_body_over_the_limit_is_rejected_by_its_content_length(http):
    answer = http.post("/v1/audio/captions", files={"file": b"\0" * 3_000_001})
    assert "3000000" in check(answer, 413, "request_too_large")["message"]


@pytest.mark.parametrize("kind", ["json", "form"])
def test_a_body_without_a_content_length_is_rejected_while_it_arrives(http, kind):
    def chunks(first):
        yield first
        for _ in range(60):
            yield b"A" * 65_536

    starts = {
        "json": ("application/json", b'{"audio":{"data":"'),
        "form": (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n',
        ),
    }
    content_type, first = starts[kind]
    headers = {"content-type": content_type}
    answer = http.post("/v1/audio/captions", content=chunks(first), headers=headers)
    check(answer, 413, "request_too_large")


def test_unknown_routes_and_methods(http):
    check(http.get("/v1/nothing"), 404, "not_found")
    check(http.get("/v1/models/gpt-4o"), 404, "model_not_found")
    assert "POST" in check(http.get("/v1/audio/captions"), 405, "method_not_allowed")["message"]


def test_bad_requests_leave_the_pod_as_it_was(http, clips):
    before = http.post("/v1/audio/captions", files={"file": clips["notes.wav"]}).json()["caption"]
    for data, _, _ in BAD_AUDIO.values():
        http.post("/v1/audio/captions", files={"file": ("clip", data)})
    after = http.post("/v1/audio/captions", files={"file": clips["notes.wav"]}).json()["caption"]
    assert before == after
    stats = http.get("/stats").json()
    assert (stats["num_running"], stats["num_waiting"], stats["backlog_s"]) == (0, 0, 0)
