"""Parts of a clip at a real pod: every route, every error, and a clip longer than the limit."""

import io
import json

import numpy as np
import pytest
from clips import synthesise

CAPTIONS, EMBEDDINGS, ANALYZE = "/v1/audio/captions", "/v1/audio/embeddings", "/v1/audio/analyze"
ROUTES = [CAPTIONS, EMBEDDINGS, ANALYZE, "/v1/embeddings", "/v1/chat/completions"]
RATE_HZ = 8_000


@pytest.fixture(scope="module")
def song():
    """A song of 80 s without repetition."""
    samples = np.random.default_rng(4).uniform(-0.3, 0.3, 80 * RATE_HZ).astype(np.float32)
    return synthesise.encoded(samples, RATE_HZ, "FLAC")


@pytest.fixture(scope="module")
def mix():
    """Half an hour, of which the pod hears at most 90 s; its encoded silence is small."""
    return synthesise.encoded(np.zeros(1800 * RATE_HZ, np.float32), RATE_HZ, "FLAC")


def ask(http, route, data=None, **fields):
    usual = {"encoding_format": "npy"} if route == EMBEDDINGS else {}
    usual |= {"prompt": "Key?"} if "chat" in route else {}
    usual |= {"max_tokens": "2"} if "embeddings" not in route else {}
    parts = {name: (None, str(value)) for name, value in (usual | fields).items()}
    return http.post(route, files=parts | ({"file": ("a", data)} if data is not None else {}))


def rows(response):
    assert response.status_code == 200, response.text
    return np.load(io.BytesIO(response.content))


def test_a_part_that_is_the_whole_clip_equals_it_and_full_windows_are_not_encoded_again(http, song):
    whole = rows(ask(http, EMBEDDINGS, song))
    assert np.array_equal(rows(ask(http, EMBEDDINGS, song, start=0, end=80)), whole)

    def num_encoded():
        lines = http.get("/metrics").text.splitlines()
        return float(
            next(
                line for line in lines if line.startswith("flamingo_engine_windows_total")
            ).split()[1]
        )

    before = num_encoded()
    part = rows(ask(http, EMBEDDINGS, song, start=30, end=60))
    assert np.array_equal(part, whole[750:1500])
    assert num_encoded() == before
    longer = rows(ask(http, EMBEDDINGS, song, start=20, end=70))
    assert np.array_equal(longer[250:1000], whole[750:1500])
    assert num_encoded() == before + 2


@pytest.mark.parametrize("route", ROUTES)
def test_usage_counts_the_part_and_says_where_it_begins(http, song, route):
    fields = {"encoding_format": "float", "pooling": "mean"} if route == EMBEDDINGS else {}
    response = ask(http, route, song, start=50.01, end=62, **fields)
    usage = response.json()["usage"]
    assert (usage["audio_seconds"], usage["audio_start_seconds"]) == (12.0, 50.0)
    assert response.headers["x-flamingo-audio-seconds"] == "12.000"


def test_times_are_those_of_the_whole_clip(http, song):
    response = ask(http, EMBEDDINGS, song, start=60, end=61, encoding_format="base64")
    times = response.json()["data"][0]["frame_timestamps"]
    assert (times[0], times[-1], len(times)) == (60.0, 60.96, 25)


SUNG = {"structured_outputs": {"regex": r"\[00:4[1-3]\.50\] [a-z]{3,8}"}}
"""Stands for a model that knows when a line is sung."""


def test_lyrics_of_a_part_have_the_times_of_the_whole_clip(http, song):
    options = {"response_format": "srt", "start": 40, "end": 45, "max_tokens": 60}
    form = {"file": ("a", song), "request": (None, json.dumps(options | SUNG))}
    subtitles = http.post("/v1/audio/transcriptions", files=form)
    assert subtitles.status_code == 200, subtitles.text
    assert subtitles.text.startswith("1\n00:00:4")
    questions = json.dumps([{"name": "lyrics", "recipe": "lyrics", "max_tokens": 60, **SUNG}])
    files = {"file": ("a", song), "questions": (None, questions, "application/json")}
    answer = http.post(ANALYZE, files=files, data={"start": "40", "end": "45"}).json()
    lyrics = answer["answers"]["lyrics"]
    assert 41 < lyrics["sections"][0]["lines"][0]["start_s"] < 44
    assert lyrics["faults"] == []


def test_one_upload_serves_several_parts(http, song):
    clip_id = ask(http, CAPTIONS, song, start=0, end=5).headers["x-flamingo-audio-id"]
    by_id = rows(ask(http, EMBEDDINGS, audio_id=clip_id, start=40, end=50))
    assert np.array_equal(by_id, rows(ask(http, EMBEDDINGS, song, start=40, end=50)))
    whole = rows(ask(http, EMBEDDINGS, audio_id=clip_id))
    assert np.array_equal(rows(ask(http, EMBEDDINGS, audio_id=clip_id, start=30)), whole[750:])


@pytest.mark.parametrize("end", [99_999, 1e300])
def test_an_end_behind_the_clip_is_that_of_the_clip_however_far_it_is(http, song, end):
    whole = rows(ask(http, EMBEDDINGS, song))
    assert np.array_equal(rows(ask(http, EMBEDDINGS, song, end=end)), whole)
    clip_id = ask(http, CAPTIONS, song).headers["x-flamingo-audio-id"]
    assert np.array_equal(
        rows(ask(http, EMBEDDINGS, audio_id=clip_id, start=60, end=end)), whole[1500:]
    )
    fields = {"model": "flamingo-tiny", "prompt": "Key?"}
    usage = ask(http, "/v1/chat/completions", audio_id=clip_id, start=60, end=end, **fields)
    assert usage.json()["usage"]["audio_seconds"] == 20.0


def test_the_limit_applies_to_the_part(http, mix):
    assert ask(http, EMBEDDINGS, mix).json()["error"]["code"] == "audio_too_long"
    assert len(rows(ask(http, EMBEDDINGS, mix, start=1700, end=1730))) == 750
    error = ask(http, EMBEDDINGS, mix, start=1700).json()["error"]
    assert error["code"] == "audio_too_long"
    assert "set an earlier end" in error["message"]
    assert len(rows(ask(http, EMBEDDINGS, mix, start=1700, truncate="true"))) == 90 * 25


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"start": 20, "end": 10}, ("end", "must be after start, which is 20")),
        ({"start": 20, "end": 20}, ("end", "must be after start")),
        ({"start": -1}, ("start", "0")),
        ({"start": "nan"}, ("start", "must be a number")),
        ({"end": "inf"}, ("end", "must be a number")),
        ({"end": 0}, ("end", "0")),
        ({"start": "1:30"}, ("start", "number")),
        ({"start": 80}, ("start", "beyond the end of the clip, which is 80.00 s long")),
        ({"start": 3600, "end": 3700}, ("start", "beyond the end of the clip, which is 80.00 s")),
        ({"start": 99_999}, ("start", "beyond the end of the clip, which is 80.00 s")),
        ({"start": "1_0"}, ("start", "must be a number")),
    ],
)
@pytest.mark.parametrize("route", [CAPTIONS, "/v1/chat/completions", "/v1/embeddings"])
def test_a_part_that_the_clip_does_not_have_is_refused(http, song, route, fields, refusal):
    param, message = refusal
    response = ask(http, route, song, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error
    assert message in error["message"]


@pytest.mark.parametrize("name", ["start", "end"])
@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Key?"}]}),
        ("/v1/responses", {"input": "Key?"}),
        (
            "/v1/decisions",
            {"input": "A", "questions": [{"type": "predicate", "instructions": "?"}]},
        ),
    ],
)
def test_a_part_of_no_clip_is_refused(http, route, fields, name):
    response = http.post(route, json=fields | {name: 1})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, name)
    assert error["message"] == f"{name}: the request has no clip of which to use a part"
