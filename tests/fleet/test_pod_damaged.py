"""Damaged and incomplete clips: time stays true, and responses report what is missing."""

import base64
import io
import json

import httpx2
import numpy as np
import pytest
from clips import damage
from fakes.patience import PATIENCE_S

from flamingo_common.audio.windows import FRAME_S

ROUTES = [
    "/v1/chat/completions",
    "/v1/audio/captions",
    "/v1/audio/analyze",
    "/v1/audio/embeddings",
    "/v1/embeddings",
]
HEADER = "x-flamingo-audio-missing-seconds"


@pytest.fixture
def router(fleet):
    with httpx2.Client(base_url=fleet[0].address, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture(scope="module")
def hole():
    """A FLAC of 10 s, of which 0.84 s from second 4.2 on are overwritten."""
    return damage.hole(damage.made("flac"), 0.42, 0.08, seed=1)


@pytest.fixture(scope="module")
def half():
    """Half of a WAV of 10 s."""
    whole = damage.made("wav")
    return whole[: len(whole) // 2]


def ask(http, route, data, **fields):
    usual = {} if "embeddings" in route else {"max_tokens": "4", "temperature": "0"}
    if "chat" in route:
        usual["prompt"] = "What is it?"
    return http.post(route, files={"file": data}, data=usual | fields)


@pytest.mark.parametrize("route", ROUTES)
def test_too_large_a_hole_is_refused_with_the_numbers(router, hole, route):
    answer = ask(router, route, hole)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "audio_damaged")
    assert "0.84 s of 10.00 s are missing (the first gap is at 4.2 s)" in error["message"]
    assert "set allow_damaged to true" in error["message"]


@pytest.mark.parametrize("route", ROUTES)
def test_it_is_processed_on_request_and_reported(router, hole, route):
    answer = ask(router, route, hole, allow_damaged="true")
    usage = answer.json()["usage"]
    assert usage["audio_seconds"] == 10
    assert usage["audio_missing_seconds"] == pytest.approx(0.836, abs=0.01)
    assert float(answer.headers[HEADER]) == usage["audio_missing_seconds"]


@pytest.mark.parametrize("route", ROUTES)
def test_half_a_file_is_processed_and_reported(router, half, route):
    answer = ask(router, route, half)
    usage = answer.json()["usage"]
    assert usage["audio_seconds"] == pytest.approx(5, abs=0.01)
    assert usage["audio_missing_seconds"] == pytest.approx(5, abs=0.01)
    assert float(answer.headers[HEADER]) == usage["audio_missing_seconds"]


@pytest.mark.parametrize("route", ROUTES)
def test_any_loss_is_refused_on_request(router, half, route):
    answer = ask(router, route, half, allow_damaged="false")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "audio_damaged")
    assert "5.00 s of 10.00 s are missing (5.00 s at the end)" in error["message"]


@pytest.mark.parametrize("route", ROUTES)
def test_nothing_is_said_about_a_clip_without_damage(router, route):
    answer = ask(router, route, damage.made("flac"), allow_damaged="false")
    assert answer.status_code == 200
    assert HEADER not in answer.headers
    assert b"missing" not in answer.content


def test_frames_after_a_gap_have_their_own_time(router, hole):
    def rows(data):
        answer = ask(router, "/v1/audio/embeddings", data, allow_damaged="true").json()
        [found] = answer["data"]
        return np.array(found["embedding"]), found["frame_timestamps"]

    (damaged, times_s), (whole, _) = rows(hole), rows(damage.made("flac"))
    assert damaged.shape == whole.shape
    assert times_s[-1] == pytest.approx(10 - FRAME_S)
    after = slice(int(6 / FRAME_S), int(9 / FRAME_S))
    shifted = slice(after.start + 20, after.stop + 20)
    distance = np.linalg.norm(damaged[after] - whole[after])
    assert distance < np.linalg.norm(damaged[after] - whole[shifted])


def test_a_response_without_json_reports_it_in_a_header(router, hole):
    answer = ask(router, "/v1/audio/embeddings", hole, allow_damaged="true", encoding_format="npy")
    assert len(np.load(io.BytesIO(answer.content))) == 250
    assert float(answer.headers[HEADER]) == pytest.approx(0.836, abs=0.01)


@pytest.mark.parametrize("route", ROUTES[:3])
def test_a_stream_reports_it_in_a_header_and_at_its_end(router, half, route):
    body = {"stream": True, "max_tokens": 4}
    fields = {"prompt": "What is it?"} if "chat" in route else {}
    if fields:
        body["stream_options"] = {"include_usage": True}
    answer = router.post(route, files={"file": half}, data={"request": json.dumps(body)} | fields)
    assert float(answer.headers[HEADER]) == pytest.approx(5, abs=0.01)
    last = json.loads(answer.text.split("data: ")[-2])
    assert last["usage"]["audio_missing_seconds"] == pytest.approx(5, abs=0.01)


def test_several_clips_add_up(router, hole, half):
    urls = [
        "data:audio/wav;base64," + base64.b64encode(data).decode()
        for data in (half, damage.made("flac"), hole)
    ]
    answer = router.post("/v1/embeddings", json={"input": urls, "allow_damaged": True})
    assert answer.json()["usage"]["audio_missing_seconds"] == pytest.approx(5.836, abs=0.02)
    assert float(answer.headers[HEADER]) == pytest.approx(5.836, abs=0.02)


def test_a_file_of_which_nothing_decodes_is_invalid(router):
    data = damage.made("m4a-moov-first")
    start = data.find(b"mdat") + 4
    answer = ask(router, ROUTES[1], data[:start] + bytes(len(data) - start), allow_damaged="true")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_audio")


def test_the_pods_count_what_was_missing(fleet, router, half):
    def counted():
        pages = [httpx2.get(f"{pod.address}/metrics", timeout=PATIENCE_S).text for pod in fleet[1]]
        lines = [line for page in pages for line in page.splitlines()]
        name = "flamingo_audio_missing_seconds_total "
        return sum(float(line.split()[1]) for line in lines if line.startswith(name))

    before = counted()
    ask(router, ROUTES[3], half)
    assert counted() - before == pytest.approx(5, abs=0.01)
