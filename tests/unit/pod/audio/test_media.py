"""A clip's bytes from base64, in all its forms."""

import pytest

from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import media


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("aGVsbG8=", b"hello"),
        ("aGVsbG8", b"hello"),
        ("aGVs\r\nbG8=\n", b"hello"),
        ("-_-_", b"\xfb\xff\xbf"),
        ("", b""),
    ],
    ids=["standard", "no padding", "wrapped", "url-safe", "empty"],
)
def test_base64_is_decoded_in_all_its_forms(text, data):
    assert b"".join(media.decode(text)) == data


@pytest.mark.parametrize("text", ["a", "a*bc", "aGVsbG8=aGVsbG8=", "ü"])
def test_invalid_base64_is_rejected(text):
    with pytest.raises(InvalidAudio, match="not valid base64"):
        b"".join(media.decode(text))


RIFF = b"RIFF\0%#,\xff"


@pytest.mark.parametrize(
    "url",
    [
        "data:audio/wav;base64,UklGRgAlIyz/",
        "DATA:audio/wav;BASE64,UklGRgAlIyz_",
        '\n data:audio/ogg; codecs="opus,x"; base64,UklG\r\nRgAlIyz/',
        "data:audio/wav;charset=utf-8;base64,UklGRgAlIyz%2F",
        "data:audio/wav,RIFF%00%25%23,%ff",
        "data:,%52IFF%00%25%23%2C%FF#ignored",
    ],
)
def test_a_data_url_of_any_kind_is_decoded(url):
    assert b"".join(media.decode(url)) == RIFF


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("data:audio/wav;base64", "has no comma"),
        ("data:audio/wav,UklGRgAlIyz/", "lacks ;base64"),
        ("data:audio/wav;base64,Ukl*", "not valid base64"),
    ],
)
def test_an_invalid_data_url_is_rejected_with_the_form_it_should_have(url, says):
    with pytest.raises(InvalidAudio, match=says):
        b"".join(media.decode(url))
