"""The usual mistakes in forms are recognised, and nothing else."""

import pytest

from flamingo_pod.api.request import form_faults


@pytest.mark.parametrize(
    ("name", "file_name", "content_type"),
    [
        ("audio", "song.mp3", "application/octet-stream"),
        ("audio", "song.mp3", "audio/mpeg"),
        ("file[]", "song.wav", "audio/wav"),
        ("File", "blob", "application/octet-stream"),
        ("upload", "", ""),
        (None, "song.mp3", ""),
    ],
)
def test_a_file_of_another_name_is_recognised(name, file_name, content_type):
    assert form_faults.is_misnamed_file(name, file_name, content_type)
    assert "must be named 'file'" in form_faults.misnamed_file(name)


@pytest.mark.parametrize(
    ("name", "file_name", "content_type"),
    [
        ("style", None, ""),
        ("request", "blob", "application/json"),
        ("request", "request.json", "application/octet-stream"),
        ("prompt", "prompt.txt", "text/plain"),
        ("prompt", "blob", "text/plain;charset=utf-8"),
        ("response_format", "blob", "application/json"),
    ],
)
def test_a_field_may_be_sent_from_a_file(name, file_name, content_type):
    assert not form_faults.is_misnamed_file(name, file_name, content_type)


@pytest.mark.parametrize(
    "text",
    [b"song.mp3", b"/music/My song.flac", b"[object Object]", b"undefined", b"null", b"UklGRg=="],
)
def test_text_in_the_place_of_a_file_is_recognised(text):
    message = form_faults.text_as_file(text, len(text), has_file_name=False)
    assert "file=@song.mp3" in message


def test_a_path_is_recognised_with_a_file_name_too():
    text = b"music/song.mp3"
    assert "path" in form_faults.text_as_file(text, len(text), has_file_name=True)
    assert form_faults.text_as_file(text, 5000, has_file_name=True) is None


def test_a_data_url_is_recognised():
    text = b"data:audio/wav;base64,UklGRg=="
    for has_file_name in (False, True):
        message = form_faults.text_as_file(text, len(text), has_file_name=has_file_name)
        assert "data: URL" in message


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"fLaC\0\0\0\x22",
        b"ID3\x04\0\0",
        b"\xff\xfb\x90\x64",
        b"OggS\0",
        b"",
    ],
)
def test_audio_is_not_text(head):
    assert form_faults.text_as_file(head, len(head), has_file_name=False) is None


def test_text_that_is_cut_inside_a_character_is_text():
    text = "é" * 3000
    head = text.encode()[: form_faults.MAX_TEXT_BYTES - 1]
    assert form_faults.text_as_file(head, 6000, has_file_name=False)
