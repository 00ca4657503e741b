"""The texts that `flamingo up` prints."""

import json

import pytest

from flamingo.local_fleet import messages


def log_line(**facts):
    return json.dumps({"event": "model.loaded", "level": "info", "timestamp": "t", **facts})


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        pytest.param(
            log_line(service="pod", load_s=1.5),
            messages.LogLine("info", "info    model.loaded load_s=1.5"),
            id="a service's log line",
        ),
        pytest.param(
            log_line(level="error", exception="Traceback:\n  boom"),
            messages.LogLine("error", "error   model.loaded\nTraceback:\n  boom"),
            id="with a traceback",
        ),
        pytest.param("Killed", messages.LogLine("info", "Killed"), id="not JSON"),
        pytest.param("[1]", messages.LogLine("info", "[1]"), id="not an object"),
        pytest.param('{"a": 1}', messages.LogLine("info", '{"a": 1}'), id="another object"),
    ],
)
def test_log_line_is_formatted(raw, line):
    assert messages.parse_log_line(raw) == line


@pytest.mark.parametrize(
    ("level", "threshold", "is_shown"),
    [
        ("info", "warning", False),
        ("warning", "warning", True),
        ("critical", "error", True),
        ("trace", "error", True),
    ],
)
def test_log_lines_are_filtered_by_level(level, threshold, is_shown):
    assert messages.is_shown(messages.LogLine(level, ""), threshold) is is_shown


@pytest.mark.parametrize(
    ("returncode", "phrase"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-250, "was killed by signal 250"),
    ],
)
def test_exit_phrase(returncode, phrase):
    assert messages.exit_phrase(returncode) == phrase


def test_unexpected_exit_shows_the_end_of_the_log_and_then_the_reason():
    log = "".join(f"line {number}\n" for number in range(50))
    death = messages.Death("pod-2", 1, log)

    first, *lines, last = messages.unexpected_exit(death, "/logs/pod-2.log").splitlines()

    assert first == "last lines of /logs/pod-2.log:"
    assert (lines[0], lines[-1]) == ("pod-2  | line 30", "pod-2  | line 49")
    assert last == "pod-2 exited with status 1: line 49"


def test_unexpected_exit_with_an_empty_log():
    message = messages.unexpected_exit(messages.Death("router", 1, ""), "x")

    assert message == "router exited with status 1: its log is empty"


@pytest.mark.parametrize(
    ("returncode", "log", "text"),
    [
        pytest.param(-9, "served\n", "pod-1 was killed by SIGKILL", id="killed"),
        pytest.param(
            4,
            log_line(event="model.failed", level="error", exception="Traceback:\n  boom") + "\n\n",
            "pod-1 exited with status 4: error   model.failed",
            id="a log line with a traceback",
        ),
    ],
)
def test_death_is_one_line(returncode, log, text):
    assert str(messages.Death("pod-1", returncode, log)) == text


@pytest.mark.parametrize(
    ("status", "body", "num_ready"),
    [
        pytest.param(503, b'{"status": "starting", "ready": 1, "total": 3}', 1, id="some"),
        pytest.param(200, b'{"status": "ready", "ready": 3, "total": 3}', 3, id="all"),
        pytest.param(200, b'{"status": "ready"}', 3, id="ready without numbers"),
        pytest.param(503, b'{"ready": false}', 0, id="not ready without numbers"),
        pytest.param(200, b"OK", 3, id="ready as plain text"),
        pytest.param(502, b"<html>", 0, id="something else"),
    ],
)
def test_number_of_ready_pods_is_parsed_leniently(status, body, num_ready):
    assert messages.num_ready_pods(status, body, 3) == num_ready


def test_ready_message_mentions_random_weights_and_quotes_paths():
    examples = messages.Examples("/my music/clip.mp3", ("/v/bin/flamingo",), "http://b")
    message = messages.ready("http://a:1", "flamingo-tiny", "/logs", examples)

    assert "flamingo-tiny is a test model with random weights" in message
    assert "curl -s http://a:1/v1/audio/captions -F 'file=@/my music/clip.mp3'" in message
    assert "  /v/bin/flamingo chat '/my music/clip.mp3' --url http://a:1\n" in message
    assert examples.command("ask", "http://b") == "/v/bin/flamingo ask '/my music/clip.mp3'"
    assert "random" not in messages.ready("http://a:1", "nvidia/x", "/logs", examples)


@pytest.mark.parametrize(
    ("total", "gpus", "message"),
    [
        pytest.param(1, (), "a router and 1 pod of m on the CPU", id="one pod"),
        pytest.param(2, (), "a router and 2 pods of m on the CPU", id="two pods"),
        pytest.param(1, ("0", "1"), "a router and 1 pod of m on GPU 0", id="one GPU"),
        pytest.param(2, ("0", "1"), "a router and 2 pods of m on GPUs 0, 1", id="two GPUs"),
    ],
)
def test_starting_message(total, gpus, message):
    assert messages.starting("m", total, gpus) == f"starting {message}"


def test_progress_message():
    assert messages.progress(1, 2, 3.4) == "1 of 2 pods ready after 3 s"
    assert messages.progress(0, 1, 0.0) == "0 of 1 pod ready after 0 s"


def test_killed_message():
    message = messages.killed(["pod-1", "router"], 15)

    assert message == "pod-1 and router did not stop within 15 s: sent SIGKILL"


def test_a_fleet_that_is_ready_says_where_batches_are_kept_if_it_keeps_them():
    ready = ("http://h", "m", "/logs", messages.Examples("clip.mp3", ("flamingo",), "http://h"))
    assert "  batches    kept in /b\n" in messages.ready(*ready, batches_dir="/b")
    assert "batches" not in messages.ready(*ready)
