"""Measured beside guessed: a real pod that measures what it answers about."""

import concurrent.futures
import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import numpy as np
import pytest
from clips import music, synthesise
from fakes import processes
from fakes.measuring import needs_measure
from fakes.patience import PATIENCE_S
from pyarrow import parquet

from flamingo import FlamingoClient
from flamingo_common.wire import sse

FIELDS = {"tempo_bpm", "beats_s", "beat_strength", "key", "loudness_lufs", "loudness_range_lu",
          "true_peak_dbtp"}  # fmt: skip
RECIPE = """
name: facts
description: Tempo and key.
prompt: What are the tempo and the key?
measured: {bpm: tempo_bpm, key: key}
schema:
  type: object
  properties: {bpm: {const: 240}, key: {const: Gb min}}
  required: [bpm, key]
  additionalProperties: false
"""
FACTS = {"name": "facts", "recipe": "facts"}
MOOD = {"name": "mood", "prompt": "What is the mood?", "max_tokens": 8}


@pytest.fixture(scope="module")
def measuring(model_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measure")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "facts.yaml").write_text(RECIPE)
    flags = ("--recipes-dir", str(folder / "recipes"), "--measure-timeout-s", "300")
    with processes.service("flamingo_pod", *flags, log=folder / "log") as pod:
        processes.wait_until_ready(pod)
        yield pod


@pytest.fixture
def http(measuring):
    with httpx2.Client(base_url=measuring.address, timeout=PATIENCE_S) as client:
        yield client


def clip(seconds=20.0, bpm=120, level=1.0):
    """Return clicks at a tempo with a chord and a scale of F# minor, as a stereo file."""
    clicks, _ = music.clicks(bpm, seconds)
    phase = 2 * np.pi * np.arange(len(clicks)) / music.RATE_HZ
    notes = {0: 1.0, 3: 0.8, 7: 0.8, 2: 0.3, 5: 0.4, 8: 0.3, 10: 0.3}
    chord = sum(loud * np.sin(185 * 2 ** (note / 12) * phase) for note, loud in notes.items())
    mono = level * (0.5 * clicks + 0.08 * chord)
    return synthesise.encoded(np.stack([mono, mono], axis=1), music.RATE_HZ, "FLAC")


def ask(http, data, *questions, **fields):
    body = json.dumps({"questions": list(questions) or None, "measure": True, **fields})
    form = {"file": ("song", data), "request": (None, body, "application/json")}
    return http.post("/v1/audio/analyze", files=form)


def counts(http):
    lines = http.get("/metrics").text.splitlines()
    prefix = "flamingo_audio_measurements_total{"
    return {
        line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith(prefix)
    }


pytestmark = needs_measure


def test_an_analysis_has_what_was_measured(http):
    answer = ask(http, clip(), max_tokens=4).json()
    measured = answer["measured"]
    assert set(measured) == FIELDS
    assert measured["tempo_bpm"] == pytest.approx(120, rel=0.01)
    assert np.diff(measured["beats_s"]) == pytest.approx(0.5, abs=0.05)
    assert measured["key"]["name"] == "F# minor"
    assert (measured["key"]["tonic"], measured["key"]["mode"]) == ("F#", "minor")
    assert -40 < measured["loudness_lufs"] < 0
    assert answer["caption"] is not None


def test_an_answer_has_both_values_and_whether_they_agree(http, no_spaces):
    answer = ask(http, clip(), FACTS, MOOD, logit_bias=no_spaces).json()
    assert answer["answers"]["facts"]["parsed"] == {"bpm": 240, "key": "Gb min"}
    bpm, key = answer["answers"]["facts"]["comparisons"]
    tempo_bpm = answer["measured"]["tempo_bpm"]
    assert bpm == {
        "field": "bpm", "answer": 240, "measured": tempo_bpm, "agrees": False, "relation": "double"
    }  # fmt: skip
    assert key == {
        "field": "key", "answer": "Gb min", "measured": "F# minor", "agrees": True,
        "relation": "same",
    }  # fmt: skip
    assert "comparisons" not in answer["answers"]["mood"]


def test_a_question_of_its_own_names_the_fields_itself(http, no_spaces):
    schema = {
        "type": "object", "properties": {"bpm": {"const": 240}}, "required": ["bpm"],
        "additionalProperties": False,
    }  # fmt: skip
    asked = {
        "name": "bpm", "prompt": "How fast?", "measured": {"bpm": "tempo_bpm"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    }  # fmt: skip
    answer = ask(http, clip(), asked, logit_bias=no_spaces).json()
    (found,) = answer["answers"]["bpm"]["comparisons"]
    assert (found["field"], found["agrees"], found["relation"]) == ("bpm", False, "double")
    refused = ask(http, clip(), MOOD | {"measured": {"bpm": "loudness"}})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"].startswith("questions[0].measured")


def test_a_stream_has_the_same_in_its_last_events(http, no_spaces):
    data = clip(bpm=100)
    asked = {"logit_bias": no_spaces}
    whole = ask(http, data, MOOD, FACTS, **asked).json()
    streamed = ask(http, data, MOOD, FACTS, stream=True, **asked)
    *events, done = sse.EventDecoder().feed(streamed.content)
    assert done == "[DONE]"
    *events, last = map(json.loads, events)
    found = {event["name"]: event["answer"] for event in events if "answer" in event}
    assert found == whole["answers"]
    assert len(found["facts"]["comparisons"]) == 2
    assert last["measured"] == whole["measured"]
    assert last["usage"]["completion_tokens"] > 0


def test_a_form_of_fields_measures_too(http):
    form = {"file": ("song", clip()), "measure": (None, "true"), "max_tokens": (None, "4")}
    answer = http.post("/v1/audio/analyze", files=form).json()
    assert answer["measured"]["tempo_bpm"] == pytest.approx(120, rel=0.01)


def test_nothing_is_measured_unless_it_is_asked_for(http):
    before = counts(http)
    answer = ask(http, clip(bpm=90), MOOD, FACTS, measure=False).json()
    assert "measured" not in answer
    assert "comparisons" not in answer["answers"]["facts"]
    assert counts(http) == before


def test_a_clip_that_is_held_is_measured_once(http):
    data = clip(bpm=80)
    first = ask(http, data, MOOD).json()
    before = counts(http)
    by_id = http.post(
        "/v1/audio/analyze",
        json={"audio": {"id": first["audio"]["id"]}, "questions": [MOOD], "measure": True},
    ).json()
    again = ask(http, data, MOOD).json()
    assert by_id["measured"] == again["measured"] == first["measured"]
    after = counts(http)
    assert after["held"] == before["held"] + 2
    assert after["measured"] == before["measured"]


def difference(before, after):
    return {name: after[name] - before[name] for name in after}


def test_a_clip_that_many_ask_about_at_once_is_measured_once(http):
    data = clip(60, bpm=72)
    before = counts(http)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask(http, data, MOOD).json(), range(8)))
    assert answers[0]["measured"]["tempo_bpm"] == pytest.approx(72, rel=0.01)
    assert all(answer["measured"] == answers[0]["measured"] for answer in answers)
    outcomes = difference(before, counts(http))
    assert (outcomes["measured"], outcomes["failed"]) == (1, 0)
    assert outcomes["held"] + outcomes["shared"] == 7


def long_clip(bpm):
    return synthesise.encoded(np.resize(music.clicks(bpm)[0], 1100 * 16_000), 16_000, "FLAC")


@contextlib.contextmanager
def streaming(pod, data):
    """Yield the lines of a stream whose clip is being measured, after its first event."""
    body = json.dumps({"questions": [MOOD], "measure": True, "stream": True})
    form = {"file": ("song", data), "request": (None, body, "application/json")}
    with (
        httpx2.Client(base_url=pod.address, timeout=PATIENCE_S) as client,
        client.stream("POST", "/v1/audio/analyze", files=form) as response,
    ):
        lines = response.iter_lines()
        next(line for line in lines if line.startswith("data:"))
        yield lines


def last_event(lines):
    *_, last, _ = (line for line in lines if line.startswith("data:"))
    return json.loads(last.removeprefix("data:"))


def test_who_asked_first_and_leaves_does_not_end_it_for_the_second(http, measuring):
    data = long_clip(88)
    before = counts(http)
    with contextlib.ExitStack() as first:
        first.enter_context(streaming(measuring, data))
        with streaming(measuring, data) as second:
            first.close()
            last = last_event(second)
    assert last["measured"]["tempo_bpm"] is not None
    outcomes = difference(before, counts(http))
    assert (outcomes["measured"], outcomes["shared"]) == (0, 1)


def test_a_pod_that_holds_no_clips_shares_what_it_is_measuring(model_cache, tmp_path):
    flags = ("--max-held-clip-bytes", "0", "--measure-timeout-s", "300")
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as pod:
        processes.wait_until_ready(pod)
        data = long_clip(88)
        with streaming(pod, data) as first, streaming(pod, data) as second:
            measured = [last_event(lines)["measured"] for lines in (first, second)]
        assert measured[0] == measured[1]
        with httpx2.Client(base_url=pod.address, timeout=PATIENCE_S) as http:
            outcomes = counts(http)
        assert (outcomes["measured"], outcomes["shared"]) == (1, 1)


def test_a_part_has_its_own_measurements_on_the_clips_clock(http):
    quiet, loud = clip(bpm=100, level=0.1), clip(bpm=100)
    whole = ask(http, loud, MOOD).json()["measured"]
    part = ask(http, loud, MOOD, start=8, end=16).json()
    assert 7.9 < part["measured"]["beats_s"][0] < 8.7
    assert part["measured"]["beats_s"][-1] < 16.1
    assert "embedding" not in part
    assert part["measured"] != whole
    difference = whole["loudness_lufs"] - ask(http, quiet, MOOD).json()["measured"]["loudness_lufs"]
    assert difference == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize(
    ("samples", "nulls"),
    [
        (np.zeros(16_000 * 6, np.float32), FIELDS),
        (music.clicks(120, 0.5)[0][:1600], FIELDS - {"true_peak_dbtp"}),
        (np.random.default_rng(1).normal(0, 0.1, 16_000 * 8), {"tempo_bpm", "beats_s", "key"}),
        (np.tile(music.clicks(120)[0][:, np.newaxis], (1, 8)), set()),
    ],
    ids=["silence", "0.1 s", "noise", "8 channels"],
)
def test_what_cannot_be_told_is_null_with_a_reason(http, no_spaces, samples, nulls):
    data = synthesise.encoded(samples, 16_000, "WAV", "FLOAT")
    answer = ask(http, data, FACTS, logit_bias=no_spaces).json()
    measured = answer["measured"]
    assert nulls <= {name for name in FIELDS if measured[name] is None}
    assert {name for name in FIELDS if measured[name] is None} == set(measured.get("reasons", {}))
    for found in answer["answers"]["facts"]["comparisons"]:
        if found["measured"] is None:
            assert (found["agrees"], found["relation"]) == (None, None)


def test_many_at_once_wait_for_one_worker(http):
    clips = [clip(6, bpm=100 + number) for number in range(30)]
    with concurrent.futures.ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(lambda data: ask(http, data, MOOD).json(), clips))
    assert all("measured" in answer for answer in answers)
    assert all(answer["measured"]["loudness_lufs"] is not None for answer in answers)


def test_a_caller_who_leaves_stops_the_measurement(http, measuring):
    data = long_clip(77)
    with (
        httpx2.Client(base_url=measuring.address, timeout=2.0) as impatient,
        pytest.raises(httpx2.TimeoutException),
    ):
        ask(impatient, data, MOOD)
    answer = ask(http, clip(bpm=111), MOOD).json()
    assert answer["measured"]["tempo_bpm"] == pytest.approx(111, rel=0.02)


def run(measuring, *args):
    """Return what a command printed."""
    command = [sys.executable, "-m", "flamingo", *args, "--url", measuring.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode in {0, 14}, done.stderr
    return done.stdout


def test_the_client_returns_and_streams_it(measuring):
    with FlamingoClient(measuring.address) as client:
        options = {"questions": {"mood": "What is the mood?"}, "measure": True, "max_tokens": 4}
        result = client.analyze(clip(bpm=95), **options)
        with client.stream_analyze(clip(bpm=95), **options) as stream:
            assert list(stream)
    assert result.measured.tempo_bpm == pytest.approx(95, rel=0.01)
    assert stream.measured == result.measured


def test_the_command_shows_it_beside_the_answers(measuring, tmp_path):
    song = tmp_path / "song.flac"
    song.write_bytes(clip())
    asked = ("analyze", str(song), "-q", "Mood?", "--max-tokens", "4", "--measure")
    table = run(measuring, *asked)
    assert re.search(r"tempo +120\.\d BPM", table)
    assert re.search(r"key +F# minor", table)
    found = json.loads(run(measuring, *asked, "--json"))
    assert found["measured"]["key"]["name"] == "F# minor"


def test_a_batch_records_it_in_columns(measuring, tmp_path):
    for bpm in (90, 120):
        (tmp_path / f"{bpm}.flac").write_bytes(clip(bpm=bpm))
    out = tmp_path / "out.parquet"
    flags = ("--task", "analyze", "-r", "facts", "--measure")
    run(measuring, "batch", str(tmp_path), "-o", str(out), *flags)
    rows = {row["key"]: row for row in parquet.read_table(out).to_pylist()}
    for bpm in (90, 120):
        measured = rows[f"{bpm}.flac"]["measured"]
        assert measured["tempo_bpm"] == pytest.approx(bpm, rel=0.01)
        assert len(measured["beats_s"]) > 20


def test_only_workers_load_the_compiler(http, measuring):
    assert ask(http, clip(bpm=85), MOOD).json()["measured"]["tempo_bpm"] is not None
    main = measuring.process.pid
    threads = Path(f"/proc/{main}/task").glob("*/children")
    children = [pid for each in threads for pid in each.read_text().split()]
    loading = [pid for pid in (str(main), *children) if "llvmlite" in mapped_files(pid)]
    assert len(loading) == 1
    assert str(main) not in loading


def mapped_files(pid):
    return Path(f"/proc/{pid}/maps").read_text()


def test_recipes_say_what_can_be_measured(http):
    recipes = {one["name"]: one for one in http.get("/v1/recipes").json()["data"]}
    assert recipes["card"]["measured"] == {"bpm": "tempo_bpm", "key": "key"}
    assert recipes["ace-step"]["measured"] == {"bpm": "tempo_bpm", "keyscale": "key"}
    assert "measured" not in recipes["lyrics"]


def test_a_pod_without_the_extra_says_what_to_install(model_cache, tmp_path):
    # An installation without librosa: Python is told that there is none.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['librosa'] = None\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environ = {"PYTHONPATH": path}
    with processes.service("flamingo_pod", log=tmp_path / "log", environ=environ) as pod:
        processes.wait_until_ready(pod)
        with httpx2.Client(base_url=pod.address, timeout=PATIENCE_S) as http:
            refused = ask(http, clip(2), MOOD)
            assert refused.status_code == 400
            error = refused.json()["error"]
            assert error["param"] == "measure"
            assert "pip install '.[measure]'" in error["message"]
            assert ask(http, clip(2), MOOD, measure=False).status_code == 200
