"""The forms of audio that a caller may pass."""

import asyncio
import io
import re

import pytest
from fakes import pods

from flamingo import AsyncFlamingoClient
from flamingo.client import sources
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
        forms = [path, str(path), AUDIO, bytearray(AUDIO), io.BytesIO(AUDIO), file]
        sent = [caption(form) for form in forms]

    assert sent == [AUDIO] * len(forms)


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
