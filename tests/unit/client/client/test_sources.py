"""The forms of audio that a caller may pass."""

import asyncio
import contextlib
import errno
import io
import os
import re
import threading
from pathlib import Path

import pytest
from fakes import pods
from fakes.patience import PATIENCE_S

from flamingo import AsyncFlamingoClient
from flamingo.client import sources
from flamingo.client.failures import UnreadableFile
from flamingo_common import errors

AUDIO = b"RIFF....WAVE, let us say"


def caption(audio, pod=None):
    """Caption `audio`; return the bytes of the file that the pod received."""
    pod = pod or pods.FakePod()

    async def scenario():
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            await client.caption(audio)

    asyncio.run(scenario())
    return re.search(rb'name="file".*?\r\n\r\n(.*)\r\n--', pod.received[0].body, re.DOTALL)[1]


def test_path_bytes_and_file_object_send_the_same_bytes(tmp_path):
    path = tmp_path / "a song, ünïcode.wav"
    path.write_bytes(AUDIO)

    with path.open("rb") as file:
        forms = [
            path,
            str(path),
            AUDIO,
            bytearray(AUDIO),
            memoryview(AUDIO),
            io.BytesIO(AUDIO),
            file,
        ]
        sent = [caption(form) for form in forms]

    assert sent == [AUDIO] * len(forms)


class NamedFile(io.BytesIO):
    """A file object with any kind of name."""

    def __init__(self, name):
        super().__init__(AUDIO)
        self.name = name


@pytest.mark.parametrize(
    "name", [b"caf\xe9\n.mp3", b'"; filename="x', b"\xff" * 255, b"\x1b[2J", "\u202e🎵".encode()]
)
def test_name_of_any_bytes_is_taken_in_every_form(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(AUDIO)
    [entry] = os.scandir(os.fsencode(tmp_path))

    with path.open("rb") as file, open(os.fsencode(path), "rb") as other:  # noqa: PTH123
        forms = [path, str(path), file, other, entry, NamedFile(name)]
        sent = [caption(form) for form in forms]

    assert sent == [AUDIO] * len(forms)


@pytest.mark.parametrize("name", [None, 3, b"\xff", "\ud800", "", "/", ["x"]])
def test_file_object_may_have_any_kind_of_name(name):
    assert caption(NamedFile(name)) == AUDIO


@pytest.mark.parametrize(
    "path", ["a\0b.mp3", "\ud800.mp3", "data:audio/mpeg;base64,AAAA" * 999, os.fsdecode(b"\xe9\n")]
)
def test_what_no_file_can_be_called_is_reported_in_one_line(path):
    with pytest.raises(errors.InvalidAudio) as caught:
        caption(path)

    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


def test_what_a_program_writes_to_a_named_pipe_is_sent(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(AUDIO * 99_999,))
    writer.start()

    assert caption(path) == AUDIO * 99_999
    writer.join()


def test_waiting_for_a_pipe_can_be_cancelled(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)  # never writes

    async def scenario():
        async with AsyncFlamingoClient("http://127.0.0.1:1") as client:
            waiting = asyncio.ensure_future(client.caption(path))
            await asyncio.wait([waiting], timeout=0.2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(scenario())
    os.close(writer)


def test_file_of_the_caller_stays_open(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(AUDIO)

    with path.open("rb") as file:
        caption(file)
        assert not file.closed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda folder: folder / "none.mp3", "none.mp3: no such file", id="missing"),
        pytest.param(lambda _: f"clip-{'0' * 40}", "is passed as a ClipId", id="an id"),
        pytest.param(lambda folder: folder, "is a directory", id="a directory"),
        pytest.param(lambda folder: _file(folder / "e.mp3", b""), "e.mp3 is empty", id="empty"),
        pytest.param(lambda _: b"", "the audio is empty", id="no bytes"),
        pytest.param(lambda _: io.BytesIO(), "audio is empty", id="an empty file object"),
    ],
)
def test_missing_audio_is_reported_before_any_request(tmp_path, make, message):
    pod = pods.FakePod()

    with pytest.raises(errors.InvalidAudio, match=message):
        caption(make(tmp_path), pod)

    assert pod.received == []


def test_file_in_text_mode_is_a_type_error():
    with pytest.raises(TypeError, match="'rb'"):
        caption(io.StringIO("la la la"))


def test_other_types_are_a_type_error():
    with pytest.raises(TypeError, match="must be a path, a URL, bytes or a binary file, not int"):
        caption(7)


@pytest.mark.parametrize(
    ("audio", "name"),
    [
        pytest.param("/music/song.mp3", "song.mp3", id="a path"),
        pytest.param("https://a/x/song.mp3?signature=s3cret", "song.mp3", id="a URL"),
        pytest.param(b"RIFF", "audio", id="bytes"),
        pytest.param(io.BytesIO(), "audio", id="a file object without a name"),
    ],
)
def test_name_of_a_clip(audio, name):
    assert sources.clip_name(audio) == name


def _file(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("number", "cls"),
    [
        (errno.ENOENT, errors.InvalidAudio),
        (errno.EACCES, errors.InvalidAudio),
        (errno.EIO, UnreadableFile),
        (errno.EMFILE, UnreadableFile),
        (errno.ESTALE, UnreadableFile),
    ],
)
def test_a_file_that_cannot_be_read_now_is_not_called_invalid_for_good(number, cls):
    assert type(sources._unreadable("a.wav", OSError(number, os.strerror(number)))) is cls


class SlowPath:
    """A path that takes its time in the thread that opens it."""

    def __init__(self, path):
        self.has_begun, self.may_open = threading.Event(), threading.Event()
        self._path = path

    def __fspath__(self):
        if threading.current_thread() is not threading.main_thread():
            self.has_begun.set()
            assert self.may_open.wait(PATIENCE_S)
        return str(self._path)


def test_a_file_that_is_opened_for_a_cancelled_call_is_closed(tmp_path):
    path = SlowPath(tmp_path / "song.wav")
    (tmp_path / "song.wav").write_bytes(AUDIO)

    async def open_it():
        async with sources.open_clip(path, None):
            pass

    async def scenario():
        opening = asyncio.create_task(open_it())
        await asyncio.sleep(0)
        assert path.has_begun.wait(PATIENCE_S)
        opening.cancel()
        await asyncio.sleep(0)
        path.may_open.set()
        await asyncio.wait([opening])
        assert opening.cancelled()
        assert os.fspath(path) not in open_paths()

    asyncio.run(scenario())


def open_paths():
    """Return what the descriptors of this process refer to."""
    paths = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            paths.append(str(descriptor.readlink()))
    return paths
