"""A pod's load report: windows, tokens and seconds of each request, clips, KV cache."""

import time

import pytest
from fakes.patience import PATIENCE_S

from flamingo_common.wire.report import CLIP_HEADER, LoadReport


def report(http):
    return LoadReport.model_validate_json(http.get("/stats").content)


def caption(http, clip, name="", **fields):
    headers = {CLIP_HEADER: name} if name else {}
    answer = http.post("/v1/audio/captions", files={"file": clip}, data=fields, headers=headers)
    assert answer.status_code == 200
    return answer


def settled(http):
    """Return the load report of an idle pod."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (idle := report(http)).num_kv_tokens_used and time.monotonic() < deadline_s:
        time.sleep(0.02)  # between two requests to a real process; no result depends on it
    return idle


def test_a_finished_request_is_reported_with_its_timing(http, clips):
    before = [timing.number for timing in report(http).timings]
    caption(http, clips["notes.wav"], max_tokens=7, style="brief")
    timing = report(http).timings[-1]
    assert timing.number == (before[-1] if before else 0) + 1
    assert (timing.route, timing.num_tokens) == ("/v1/audio/captions", 7)
    assert timing.num_windows in {0, 1}
    assert 0 < timing.compute_s < 30


def test_an_embedding_is_reported_as_windows_without_tokens(http, clips):
    http.post("/v1/audio/embeddings", files={"file": clips["drums.wav"]})
    timing = report(http).timings[-1]
    assert (timing.route, timing.num_tokens) == ("/v1/audio/embeddings", 0)


def test_a_rejected_request_has_no_timing(http):
    before = report(http).timings
    http.post("/v1/audio/captions", files={"file": b"no audio"})
    assert report(http).timings == before


def test_a_clip_is_reported_by_the_routers_name(http, clips):
    caption(http, clips["notes.flac"], "song-1", max_tokens=1)
    assert "song-1" in report(http).clips
    caption(http, clips["notes.flac"], "no name!", max_tokens=1)
    caption(http, clips["notes.flac"], "n" * 65, max_tokens=1)
    names = report(http).clips
    assert not {"no name!", "n" * 65} & set(names)


def test_the_kv_cache_is_reported_and_is_empty_when_idle(http, clips):
    caption(http, clips["notes.wav"], max_tokens=1)
    idle = settled(http)
    assert idle.num_kv_tokens > 1000
    assert idle.num_kv_tokens_used == 0
    assert idle.backlog_s == pytest.approx(0, abs=1e-9)


def test_a_response_has_its_timings_on_request(http, clips):
    with_metrics = {"headers": {"x-flamingo-metrics": "true"}}
    clip = clips["notes.wav"][:-2] + b"\7\0"  # no other test has had it decoded
    form = {"files": {"file": clip}, "data": {"max_tokens": 5}}
    metrics = http.post("/v1/audio/captions", **form, **with_metrics).json()["metrics"]
    assert 0 < metrics["queue_time_ms"] < metrics["time_to_first_token_ms"]
    assert metrics["mean_itl_ms"] * 4 == pytest.approx(metrics["generation_time_ms"], rel=0.01)
    assert metrics["tokens_per_second"] > 0
    assert metrics["audio_decode_ms"] > 0
    assert "metrics" not in http.post("/v1/audio/captions", **form).json()
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}
    answer = http.post("/v1/chat/completions", json=body, **with_metrics).json()
    assert answer["metrics"]["compute_ms"] > 0
    options = {"stream": True, "stream_options": {"include_usage": True}}
    with_usage = http.post("/v1/chat/completions", json=body | options, **with_metrics).text
    assert with_usage.count('"metrics"') == 1
