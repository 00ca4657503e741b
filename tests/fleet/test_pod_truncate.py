"""`truncate`: a clip that is too long is truncated only on request, and the response says so."""

import json

import numpy as np
import pytest
from clips import hostile, synthesise
from fakes.steps import num_steps

from flamingo_pod.audio import decode
from flamingo_pod.audio.memory_file import MemoryFile

ROUTES = [
    "/v1/chat/completions",
    "/v1/audio/captions",
    "/v1/audio/analyze",
    "/v1/audio/embeddings",
    "/v1/embeddings",
]
HEADER = "x-flamingo-truncated-seconds"
RATE_HZ = 8_000


@pytest.fixture(scope="module")
def song():
    """100 s without repetition; the pod's maximum is 90."""
    random = np.random.default_rng(3)
    return (random.standard_normal(100 * RATE_HZ) * np.linspace(0.01, 0.2, 100 * RATE_HZ)).astype(
        np.float32
    )


def flac(samples):
    return synthesise.encoded(samples, RATE_HZ, "FLAC")


def ask(http, route, data, **fields):
    usual = {"pooling": "mean"} if "captions" not in route and "chat" not in route else {}
    if "embeddings" not in route:
        usual |= {"max_tokens": "4", "temperature": "0"}
    fields = usual | fields
    if "chat" in route:
        fields["prompt"] = "What is it?"
    return http.post(route, files={"file": data}, data=fields)


def words(answer):
    body = answer.json()
    return body.get("caption") or body.get("choices") or body["data"][0]["embedding"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_clip_that_is_too_long_is_rejected_with_a_hint(http, song, route):
    for fields in ({}, {"truncate": "false"}):
        answer = ask(http, route, flac(song), **fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "audio_too_long")
        assert "longer than the maximum of 90 s (100 s according to its header)" in error["message"]
        assert "set truncate to true" in error["message"]


@pytest.mark.parametrize("route", ROUTES)
def test_with_truncate_the_beginning_is_used_and_the_rest_is_reported(http, song, route):
    answer = ask(http, route, flac(song), truncate="true")
    usage = answer.json()["usage"]
    assert usage["audio_seconds"] == 90
    assert usage["audio_truncated"] is True
    assert usage["truncated_seconds"] == pytest.approx(10, abs=0.001)
    assert float(answer.headers[HEADER]) == pytest.approx(10, abs=0.001)


def test_the_answer_depends_only_on_the_part_that_is_used(http, song):
    cut = ask(http, "/v1/audio/embeddings", flac(song), truncate="true", pooling="none")
    same = ask(http, "/v1/audio/embeddings", flac(song[: 90 * RATE_HZ]), pooling="none")
    ours, wanted = (np.array(words(answer)) for answer in (cut, same))
    assert ours.shape == wanted.shape
    assert np.allclose(ours[:1500], wanted[:1500], atol=1e-6), "two windows of three are the same"
    # The resampler looks a few samples beyond the cut, where one file goes on and one ends, and
    # within a window every frame hears every other.
    assert np.abs(ours - wanted)[:2240].max() < 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("route", ROUTES)
def test_a_short_clip_is_not_truncated(http, song, route):
    short = flac(song[: 2 * RATE_HZ])
    plain, truncating = ask(http, route, short), ask(http, route, short, truncate="true")
    assert words(plain) == words(truncating)
    assert HEADER not in truncating.headers
    assert not {"audio_truncated", "truncated_seconds"} & {*truncating.json()["usage"]}


def test_an_implausible_duration_in_a_header_is_not_reported(http, song):
    wrong = hostile.flac_claiming(flac(song), total=RATE_HZ)
    answer = ask(http, "/v1/audio/captions", wrong, truncate="true")
    usage = answer.json()["usage"]
    assert (usage["audio_seconds"], usage["audio_truncated"]) == (90, True)
    assert "truncated_seconds" not in usage
    assert answer.headers[HEADER] == "unknown"


def test_a_response_without_json_reports_it_in_a_header(http, song):
    answer = ask(http, "/v1/audio/embeddings", flac(song), truncate="true", encoding_format="npy")
    assert answer.headers["content-type"] == "application/x-npy"
    assert float(answer.headers[HEADER]) == pytest.approx(10, abs=0.001)


def test_a_stream_reports_it_in_a_header_and_at_its_end(http, song):
    answer = ask(http, "/v1/audio/captions", flac(song), truncate="true", stream="true")
    assert float(answer.headers[HEADER]) == pytest.approx(10, abs=0.001)
    last = answer.text.split("data: ")[-2]
    assert json.loads(last)["usage"]["audio_truncated"] is True


def test_only_the_part_that_is_used_is_decoded():
    with MemoryFile() as source, MemoryFile() as target:
        source.write(hostile.silence(2))
        limits = decode.DecodeLimits(60, truncate=True)
        done = decode.decode_clip(source.address, target.address, limits)
        assert (done.num_samples, done.is_truncated, done.header_duration_s) == (
            60 * 16_000,
            True,
            7200,
        )

        def decode_up_to(limits):
            return num_steps(lambda: decode.decode_clip(source.address, target.address, limits))

        assert decode_up_to(limits) < decode_up_to(decode.DecodeLimits(7200)) / 10
