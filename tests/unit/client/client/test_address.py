"""URLs: normalized base URLs, and redacted ones."""

import pytest

from flamingo.client import address
from flamingo_common import errors


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        pytest.param("http://127.0.0.1:8000", "http://127.0.0.1:8000", id="plain"),
        pytest.param("http://127.0.0.1:8000/", "http://127.0.0.1:8000", id="slash"),
        pytest.param("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000", id="v1"),
        pytest.param("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000", id="v1 and slash"),
        pytest.param("https://music.example/fleet/v1", "https://music.example/fleet", id="prefix"),
        pytest.param("http://[::1]:8000", "http://[::1]:8000", id="IPv6"),
        pytest.param(" http://a ", "http://a", id="surrounding spaces"),
    ],
)
def test_base_url_is_normalized(base_url, root):
    assert address.normalize_base_url(base_url) == root


@pytest.mark.parametrize("base_url", ["", "127.0.0.1:8000", "ftp://a", "http://", "http://a:99999"])
def test_invalid_base_url_is_refused(base_url):
    with pytest.raises(errors.BadRequest, match="is not a valid base URL"):
        address.normalize_base_url(base_url)


@pytest.mark.parametrize(
    ("audio", "is_url"),
    [("http://a/x.mp3", True), ("HTTPS://a/x.mp3", True), ("x.mp3", False), ("ftp://a", False)],
)
def test_only_http_and_https_are_urls(audio, is_url):
    assert address.is_url(audio) is is_url


def test_redacted_url_has_no_credentials_and_no_signature():
    redacted = address.redact_url("https://me:pw@store.example:8443/a/song.mp3?X-Sig=s3cret#x")

    assert redacted == "https://store.example:8443/a/song.mp3"
