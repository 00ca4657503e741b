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
    assert b"".join(media.decode_base64(text)) == data


@pytest.mark.parametrize("text", ["a", "a*bc", "aGVsbG8=aGVsbG8=", "ü"])
def test_invalid_base64_is_rejected(text):
    with pytest.raises(InvalidAudio, match="not valid base64"):
        b"".join(media.decode_base64(text))
