"""What each command prints."""

import asyncio
import json
import re
from dataclasses import dataclass, field

import numpy as np
import pytest
import structlog
from fakes import pods
from typer.testing import CliRunner

from flamingo import cli
from flamingo_common import errors
from flamingo_common.wire import report, responses


@pytest.fixture(autouse=True)
def silent_pods():
    """Keep the fake pod, which shares this process, from logging into the command's output."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3, let us say")
    return str(path)


def flamingo(*args, pod=None, stdin=None):
    """Return what `flamingo args…` does, with `pod` as its fleet."""
    pod = pod or pods.FakePod()

    async def scenario():
        async with pods.running(pod) as address:
            environ = {"FLAMINGO_URL": address}
            return await asyncio.to_thread(
                CliRunner().invoke, cli.app, args, env=environ, input=stdin
            )

    return asyncio.run(scenario())


class CutPod(pods.FakePod):
    """A pod whose answers reach the token limit."""

    def _last_chunk(self, path):
        return {**super()._last_chunk(path), "finish_reason": "length"}


class HalfHeardPod(pods.FakePod):
    """A pod that heard the first 1,200 s of 1,560."""

    def _last_chunk(self, path):
        last = super()._last_chunk(path)
        usage = {"audio_seconds": 1200, "audio_truncated": True, "truncated_seconds": 360}
        return {**last, "usage": {**last["usage"], **usage}}


@dataclass
class Router(pods.FakePod):
    """A router with four pods."""

    more: dict = field(default_factory=dict)

    def app(self):
        app = super().app()
        app.router.add_get("/fleet", self._fleet)
        return app

    async def _fleet(self, _):
        load = report.LoadReport(
            model="flamingo-tiny",
            state="draining",
            epoch="1",
            sequence=1,
            backlog_s=2,
            num_running=1,
            num_waiting=0,
        )
        pod = {"address": "http://10.0.0.1:8000", "backlog_s": 2.04, "num_open": 3}
        said = load.model_copy(update={"state": "ready"})
        endpoints = [
            {**pod, "ready": True, "load": said, "queued_s": 1.26, "speed": 1.31},
            {**pod, "ready": False, "load": load, "reason": "draining"},
            {**pod, "ready": False, "load": None, "reason": "silent"},
            {**pod, "ready": False, "load": said, "reason": "ejected", "ejected": True},
        ]
        told = report.FleetReport(endpoints=endpoints, **self.more)
        return pods.http.json_response(told)


def test_caption_prints_the_words_and_nothing_else(song):
    result = flamingo("caption", song)

    assert (result.stdout, result.stderr, result.exit_code) == ("a quiet song\n", "", 0)


def test_caption_streams_unless_told_otherwise(song):
    pod = pods.FakePod()

    results = [flamingo("caption", song, *flags, pod=pod) for flags in ([], ["--no-stream"])]

    assert [b'"stream": true' in received.body for received in pod.received] == [True, False]
    assert [result.stdout for result in results] == ["a quiet song\n"] * 2


def test_caption_asks_for_what_the_flags_say(song):
    pod = pods.FakePod()

    flags = ["--style", "brief", "--max-tokens", "7", "--temperature", "0", "--api-key", "sk-1"]
    flamingo("caption", song, *flags, "--prompt", "Only the tempo.", pod=pod)

    [received] = pod.received
    for part in (b'"style": "brief"', b'"max_tokens": 7', b'"temperature": 0', b"the tempo"):
        assert part in received.body
    assert received.headers["Authorization"] == "Bearer sk-1"


def test_caption_reads_standard_input():
    pod = pods.FakePod()

    result = flamingo("caption", "-", pod=pod, stdin=b"RIFF through a pipe")

    assert result.stdout == "a quiet song\n"
    assert b"RIFF through a pipe" in pod.received[0].body


def test_caption_of_several_clips_has_a_heading_each_and_goes_on_after_a_failure(song):
    result = flamingo("caption", song, "gone.mp3", song)

    heading = f"==> {song} <==\na quiet song\n"
    assert result.stdout == f"{heading}\n==> gone.mp3 <==\n\n{heading}"
    assert result.stderr == "flamingo: gone.mp3: no such file or directory\n"
    assert result.exit_code == 1


def test_caption_as_json_is_the_servers_whole_answer_one_line_a_clip(song):
    result = flamingo("caption", "--json", song, song)

    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["caption"] for answer in answers] == ["a quiet song"] * 2
    assert answers[0]["file"] == song
    assert responses.Usage(**answers[0]["usage"]) == pods.USAGE


def test_answer_cut_at_the_token_limit_says_so_beside_it(song):
    result = flamingo("caption", song, pod=CutPod())

    assert result.stdout == "a quiet song\n"
    assert result.stderr == "flamingo: cut off at the token limit; see --max-tokens\n"


def test_a_clip_is_cut_only_when_asked_and_that_is_said_beside_the_answer(song):
    pod = HalfHeardPod()

    plain, cut = (
        flamingo("caption", song, pod=pod),
        flamingo("caption", "--truncate", song, pod=pod),
    )

    assert cut.stdout == "a quiet song\n"
    assert cut.stderr == "flamingo: heard the first 1,200 s; 360 s more were left out\n"
    assert plain.exit_code == cut.exit_code == 0
    assert [b'"truncate": true' in each.body for each in pod.received] == [False, True]


@pytest.mark.parametrize("command", [["ask", "{}", "why?"], ["embed", "{}"]])
def test_other_commands_cut_when_asked_too(song, command):
    pod = pods.FakePod()

    flamingo(*[word.format(song) for word in command], "--truncate", pod=pod)

    assert b'"truncate": true' in pod.received[-1].body


def test_failure_names_the_clip_and_the_request(song):
    pod = pods.FakePod(fails_with=errors.InvalidAudio("no audio in it"))

    result = flamingo("caption", song, song, pod=pod)

    first, _ = result.stderr.splitlines()
    assert re.fullmatch(f"flamingo: {re.escape(song)}: no audio in it \\[req-[0-9a-f]+\\]", first)


@pytest.mark.parametrize("flags", [[], ["--no-stream"]], ids=["streamed", "whole"])
def test_ask_prints_the_answer(song, flags):
    pod = pods.FakePod()

    result = flamingo("ask", song, "Which key?", *flags, pod=pod)

    assert result.stdout == "a quiet song\n"
    assert b"Which key?" in pod.received[0].body


def test_ask_as_json_is_openais_completion(song):
    result = flamingo("ask", song, "Which key?", "--json")

    assert json.loads(result.stdout)["choices"][0]["message"]["content"] == "a quiet song"


def test_embed_sums_up_and_writes_the_numbers(song, tmp_path):
    out = tmp_path / "song.npy"
    out.write_bytes(b"an older file")

    result = flamingo("embed", song, "--out", str(out))

    assert np.load(out).tolist() == [[0.0, 0.5], [1.0, -0.5]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.mp3", "song.npy"]
    told = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in result.stdout.splitlines())
    assert told == {
        "frames": "2",
        "dimensions": "2",
        "seconds": "0.08",
        "first values": "0, 0.5",
        "layer": "encoder",
        "model": "fake",
        "written to": str(out),
    }


def test_embed_into_a_folder_that_is_not_there_is_refused_before_the_request(song):
    pod = pods.FakePod()

    result = flamingo("embed", song, "--out", "/nowhere/x.npy", pod=pod)

    assert (result.exit_code, pod.received) == (2, [])


def test_models_are_listed_and_random_weights_are_owned_up_to():
    result = flamingo("models")

    row = re.split(r"  +", result.stdout.splitlines()[1].strip())
    assert row == ["fake*", "1,200 s", "32,768 tokens", "2", "2"]
    assert "mean nothing" in result.stderr


def test_fleet_shows_each_pod_and_why_it_is_not_ready():
    result = flamingo("fleet", pod=Router())

    summary, _, *table = result.stdout.splitlines()
    rows = [re.split(r"  +", line.strip()) for line in table]
    assert summary == "1 of 4 pods ready, flamingo-tiny"
    assert rows == [
        ["pod", "state", "backlog", "prefill", "open", "takes"],
        ["http://10.0.0.1:8000", "ready", "2.0 s", "1.3 s", "3", "1.3 x usual"],
        ["http://10.0.0.1:8000", "draining", "2.0 s", "0.0 s", "3", "1.0 x usual"],
        ["http://10.0.0.1:8000", "silent", "2.0 s", "0.0 s", "3", "1.0 x usual"],
        ["http://10.0.0.1:8000", "ejected", "2.0 s", "0.0 s", "3", "1.0 x usual"],
    ]
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_fleet_shows_what_waits_and_what_comes_in():
    queue = {"num": 4, "audio_s": 62, "work_s": 1.21, "oldest_s": 3.14}
    lately = {"window_s": 60, "num": 2.4, "audio_s": 1030, "work_s": 0.8}
    busy = flamingo("fleet", pod=Router(more={"queue": queue, "arrivals": [lately]}))
    cold = flamingo("fleet", pod=Router(more={"queue": queue, "cold": True, "holding_s": 12}))

    told = "62 s of audio, 1.2 s of work, oldest"
    assert busy.stdout.splitlines()[1:3] == [
        f"4 waiting for a free pod: {told} 3.1 s",
        "2.4 requests a second, 1,030.0 s of audio, 0.8 s of work (last 60 s)",
    ]
    assert cold.stdout.splitlines()[1] == f"4 held for a first pod: {told} 12.0 s"


def test_help_shows_every_verb_and_examples():
    result = flamingo("--help")

    verbs = [
        "caption",
        "ask",
        "embed",
        "models",
        "fleet",
        "version",
        "up",
        "serve",
        "router",
        "operator",
    ]
    assert all(re.search(rf"^│ {verb} ", result.stdout, re.MULTILINE) for verb in verbs)
    assert "flamingo caption song.mp3" in result.stdout
