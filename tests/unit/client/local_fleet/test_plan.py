"""What `flamingo up` decides and says."""

import json

import pytest

from flamingo.local_fleet import messages, plan

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 1g.10gb     Device  0: (UUID: MIG-cccc)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
"""


@pytest.mark.parametrize(
    ("listing", "environ", "gpus"),
    [
        pytest.param(LISTING, {}, ("0", "1"), id="all there are"),
        pytest.param(LISTING, {"CUDA_VISIBLE_DEVICES": "1"}, ("1",), id="what the user left"),
        pytest.param(LISTING, {"CUDA_VISIBLE_DEVICES": ""}, (), id="the user wants none"),
        pytest.param("", {"CUDA_VISIBLE_DEVICES": "0"}, (), id="a wish is no GPU"),
        pytest.param("No devices were found\n", {}, (), id="a driver without a GPU"),
    ],
)
def test_gpus_are_those_that_the_user_leaves_visible(listing, environ, gpus):
    assert plan.visible_gpus(listing, environ) == gpus


@pytest.mark.parametrize(
    ("asked", "gpus", "num_pods"),
    [
        pytest.param(None, (), 2, id="no GPU"),
        pytest.param(None, ("0", "1", "2"), 3, id="one for each GPU"),
        pytest.param(1, ("0", "1"), 1, id="as asked"),
    ],
)
def test_number_of_pods(asked, gpus, num_pods):
    options = plan.Options(num_pods=asked)

    assert plan.num_pods(options, plan.Machine(gpus, num_cores=8)) == num_pods


def test_pod_command():
    options = plan.Options(model="nvidia/music-flamingo-2601-hf", grace_s=2.5)

    assert plan.pod_command(("pod",), options, 7) == (
        *("pod", "--fd", "7", "--stop-with-parent", "--grace-period-s", "2.5"),
        *("--model", "nvidia/music-flamingo-2601-hf"),
    )


def test_router_command_names_each_pod():
    command = plan.router_command(("router",), plan.Options(), 8, [9001, 9002])

    assert command == (
        *("router", "--fd", "8", "--stop-with-parent", "--grace-period-s", "10"),
        *("--endpoint", "http://127.0.0.1:9001", "--endpoint", "http://127.0.0.1:9002"),
    )


@pytest.mark.parametrize(
    ("number", "gpus", "environ", "added"),
    [
        pytest.param(1, ("4", "6"), {}, {"CUDA_VISIBLE_DEVICES": "6"}, id="a GPU each"),
        pytest.param(2, ("4", "6"), {}, {"CUDA_VISIBLE_DEVICES": "4"}, id="GPUs in turn"),
        pytest.param(0, (), {}, {"OMP_NUM_THREADS": "5"}, id="a share of the cores"),
        pytest.param(0, (), {"OMP_NUM_THREADS": "1"}, {}, id="what the user set"),
    ],
)
def test_environment_of_a_pod(number, gpus, environ, added):
    machine = plan.Machine(gpus, num_cores=16)

    told = plan.pod_environ(number, 3, machine, {"PATH": "/bin", **environ})

    assert told == {"PATH": "/bin", **environ, **added}


def test_more_pods_than_cores_get_a_thread_each():
    told = plan.pod_environ(0, 8, plan.Machine((), num_cores=2), {})

    assert told == {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("music.example", "http://music.example:80"),
    ],
)
def test_address_is_one_that_can_be_reached(host, address):
    assert plan.address(host, 80) == address


def log_line(**facts):
    return json.dumps({"event": "model.loaded", "level": "info", "timestamp": "t", **facts})


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        pytest.param(
            log_line(service="pod", load_s=1.5),
            messages.LogLine("info", "info    model.loaded load_s=1.5"),
            id="a service's line",
        ),
        pytest.param(
            log_line(level="error", exception="Traceback:\n  boom"),
            messages.LogLine("error", "error   model.loaded\nTraceback:\n  boom"),
            id="with its traceback",
        ),
        pytest.param("Killed", messages.LogLine("info", "Killed"), id="no JSON"),
        pytest.param("[1]", messages.LogLine("info", "[1]"), id="another JSON"),
        pytest.param('{"a": 1}', messages.LogLine("info", '{"a": 1}'), id="another object"),
    ],
)
def test_log_lines_are_made_readable(raw, line):
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
def test_log_lines_are_shown_from_the_level_on_that_was_asked_for(level, threshold, is_shown):
    assert messages.is_shown(messages.LogLine(level, ""), threshold) is is_shown


@pytest.mark.parametrize(
    ("returncode", "ending"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-250, "was killed by signal 250"),
    ],
)
def test_ending_of_a_process_in_words(returncode, ending):
    assert messages.ending(returncode) == ending


def test_death_shows_the_last_lines_only():
    log = "".join(f"line {number}\n" for number in range(50))

    first, *lines = messages.death("pod-2", -9, log, "/logs/pod-2.log").splitlines()

    assert first == "pod-2 was killed by SIGKILL; its last lines (/logs/pod-2.log has them all):"
    assert (lines[0], lines[-1]) == ("pod-2  | line 30", "pod-2  | line 49")


def test_death_without_a_word():
    assert messages.death("router", 1, "", "x") == "router exited with status 1; it wrote nothing"


@pytest.mark.parametrize(
    ("status", "body", "num_ready"),
    [
        pytest.param(503, b'{"status": "starting", "ready": 1, "total": 3}', 1, id="some"),
        pytest.param(200, b'{"status": "ready", "ready": 3, "total": 3}', 3, id="all"),
        pytest.param(200, b'{"status": "ready"}', 3, id="ready without numbers"),
        pytest.param(503, b'{"ready": false}', 0, id="not ready without numbers"),
        pytest.param(200, b"OK", 3, id="ready in words"),
        pytest.param(502, b"<html>", 0, id="something else"),
    ],
)
def test_number_of_ready_pods_is_read_tolerantly(status, body, num_ready):
    assert messages.num_ready(status, body, 3) == num_ready


def test_ready_message_owns_up_to_random_weights_and_quotes_paths():
    told = messages.ready("http://a:1", "flamingo-tiny", "/my music/clip.mp3", "/logs")

    assert "flamingo-tiny has random weights" in told
    assert "curl -s http://a:1/v1/audio/captions -F 'file=@/my music/clip.mp3'" in told
    assert "random" not in messages.ready("http://a:1", "nvidia/x", "/clip.mp3", "/logs")
