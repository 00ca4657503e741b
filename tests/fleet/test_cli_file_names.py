"""File names of any bytes, files that cannot be read, and standard output of any kind."""

import json
import os
from pathlib import Path

import pytest
from fakes import pods
from fakes.command_line import flamingo

from flamingo_common.wire import responses

SONG = b"ID3, let us say"
NAMES = [
    b"caf\xe9.mp3",
    b"two\nlines.mp3",
    b"\x1b]0;title\x07\x1b[31m.mp3",
    b"\"quoted\" \\ 'it'.mp3",
    "🎵 naïve.mp3".encode(),
    "\u202e3pm.exe".encode(),
    b"[red]x[blue].mp3",
    b"-dash.mp3",
    b"x" * 251 + b".mp3",
    b"\xff" * 255,
]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(SONG)
    return tmp_path


def is_plain(line):
    return line.isprintable()


@pytest.mark.parametrize("environ", [{}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_each_name_of_a_batch_is_captioned_and_printed_as_one_plain_line(folder, environ):
    done = flamingo("caption", "--", *NAMES, cwd=folder, environ=environ)

    assert (done.status, done.err) == (0, b"")
    assert all(is_plain(line) for line in done.lines)
    assert done.lines.count("a quiet song") == len(NAMES)
    assert "==> caf\\xe9.mp3 <==" in done.lines
    assert "==> two\\nlines.mp3 <==" in done.lines


@pytest.mark.parametrize("environ", [{}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C"}])
def test_json_is_one_valid_document_per_clip(folder, environ):
    done = flamingo("caption", "--json", "--", *NAMES, cwd=folder, environ=environ)

    files = [json.loads(line)["file"] for line in done.lines]
    assert (done.status, done.err) == (0, b"")
    assert files[0] == "caf\\xe9.mp3"
    assert files[1] == "two\nlines.mp3"
    assert files[4:6] == ["🎵 naïve.mp3", "\u202e3pm.exe"]
    assert all(is_plain(line) for line in done.lines)


def test_each_name_is_sent_as_one_well_formed_parameter(folder):
    pod = pods.FakePod()

    flamingo("caption", "--json", "--", *NAMES, cwd=folder, pod=pod)

    sent = [
        line
        for received in pod.received
        for line in received.body.split(b"\r\n")
        if b'name="file"' in line
    ]
    assert len(sent) == len(NAMES)
    assert sent[0] == b'Content-Disposition: form-data; name="file"; filename="caf%E9.mp3"'
    assert all(line.isascii() and line.count(b'"') == 4 for line in sent)


@pytest.mark.parametrize("name", NAMES[:3])
@pytest.mark.parametrize("command", ["embed", "ask", "caption"])
def test_each_command_takes_such_a_name(folder, name, command):
    question = ["Which key?"] if command == "ask" else []

    done = flamingo(command, "--", name, *question, cwd=folder)

    assert (done.status, done.err) == (0, b"")


def test_embedding_is_saved_under_any_name(folder):
    done = flamingo("embed", "--out", b"\xe9\x1b[31m.npy", NAMES[0], cwd=folder)

    assert done.status == 0
    assert (folder / os.fsdecode(b"\xe9\x1b[31m.npy")).exists()
    assert "\\xe9\\x1b[31m.npy" in done.out.decode()


def test_embedding_that_cannot_be_saved_is_one_line(folder):
    done = flamingo("embed", "--out", "/proc/x.npy", NAMES[0], cwd=folder)

    assert (done.status, done.out) == (1, b"")
    assert done.errors == ["flamingo: cannot write /proc/x.npy: no such file or directory"]


def test_bad_files_of_a_batch_are_one_line_each_and_the_rest_goes_on(folder):
    (folder / "folder.mp3").mkdir()
    (folder / "empty.mp3").touch()
    (folder / "dangling.mp3").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.mp3")
    bad = {
        "folder.mp3": "is a directory",
        "empty.mp3": "is empty",
        "dangling.mp3": "no such file",
        "fifo.mp3": "a pipe to which no program writes",
        "/dev/zero": "a device",
        "/proc/self/mem": "",
        b"gone\xe9\n.mp3": "no such file",
        "y" * 300: "file name too long",
        "s3://bucket/song.mp3": "of URLs, only http and https",
    }

    done = flamingo("caption", "--json", "--", NAMES[0], *bad, NAMES[1], cwd=folder)

    assert done.status == 14
    assert ["error" in json.loads(line) for line in done.lines] == [
        False,
        *[True] * len(bad),
        False,
    ]
    assert len(done.errors) == len(bad)
    for line, (name, reason) in zip(done.errors, bad.items(), strict=True):
        assert reason in line
        assert is_plain(line)
        if isinstance(name, str):
            assert line.startswith(f"flamingo: {name[:250]}")


class RudePod(pods.FakePod):
    """A pod whose texts try to control the terminal."""

    model: str = "[bold]\x1b]0;title\x07"

    def _body(self, path):
        body = super()._body(path)
        if isinstance(body, responses.Caption):
            return body.model_copy(update={"caption": "one\x1b[2J\ntwo\x9b31m"})
        return body


@pytest.mark.parametrize(
    "command", [["caption"], ["caption", "--no-stream"], ["caption", "--json"], ["embed"]]
)
def test_text_of_a_server_cannot_control_the_terminal(folder, command):
    pod = RudePod(words=("one\x1b[2J\ntwo", "\x9b31m"))

    done = flamingo(*command, "--", NAMES[0], cwd=folder, pod=pod)

    assert done.status == 0
    assert all(is_plain(line) for line in done.out.decode().split("\n"))


@pytest.mark.parametrize("command", ["models", "fleet", "doctor"])
def test_tables_of_a_server_cannot_control_the_terminal(command):
    done = flamingo(command, pod=RudePod(model="[/x]\x1b]0;title\x07"))

    text = (done.out + done.err).decode()
    assert "Traceback" not in text
    assert all(is_plain(line) for line in text.split("\n"))


def test_text_that_standard_output_cannot_encode_is_escaped(folder):
    pod = pods.FakePod(words=("naïve ", "🎵"))

    done = flamingo(
        "caption", "--", NAMES[0], cwd=folder, pod=pod, environ={"PYTHONIOENCODING": "ascii"}
    )

    assert (done.status, done.out, done.err) == (0, b"na\\xefve \\U0001f3b5\n", b"")


@pytest.mark.parametrize("command", [["models"], ["models", "--json"], ["--help"], ["version"]])
def test_full_disk_is_one_line(command):
    with Path("/dev/full").open("wb") as full:
        done = flamingo(*command, stdout=full)

    assert done.status == 1
    assert done.err == b"flamingo: cannot write to standard output: no space left on device\n"


def test_full_disk_while_clips_are_in_flight_is_one_line(folder):
    pod = pods.FakePod(words=("word " * 20_000,))
    with Path("/dev/full").open("wb") as full:
        done = flamingo("caption", "-j", "2", "--", *NAMES[:3], cwd=folder, pod=pod, stdout=full)

    assert done.status == 1
    assert done.err == b"flamingo: cannot write to standard output: no space left on device\n"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_failure(folder, redirection):
    done = flamingo("caption", "--", NAMES[0], cwd=folder, redirection=redirection)

    assert b"Traceback" not in done.out + done.err
    assert done.status == 0
