"""Base URLs in their normal form."""

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
        pytest.param("\ufeffhttp://a/v1\r\n", "http://a", id="a line of a file"),
        pytest.param("HTTPS://A:8443", "https://A:8443", id="upper case"),
    ],
)
def test_base_url_is_normalized(base_url, root):
    assert address.parse_base_url(base_url) == address.BaseUrl(root)


@pytest.mark.parametrize(
    ("base_url", "problem"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("127.0.0.1:8000", "it has no scheme"),
        ("localhost", "it has no scheme"),
        ("http:/a", "it has no scheme"),
        ("ftp://a", "its scheme must be http or https"),
        ("http://", "it has no host"),
        ("http:///v1", "it has no host"),
        ("http://a:99999", "its port must be from 1 to 65535"),
        ("http://a:0", "its port"),
        ("http://a:x", "its port"),
        ("http://::1:8000", "an IPv6 address must be in brackets"),
        ("http://[::1", "its host is not valid"),
        ('"http://a"', "it is in quotation marks"),
        ("'http://a'", "it is in quotation marks"),
        ("http://a b", "whitespace or a control character"),
        ("http://a\nb", "whitespace or a control character"),
        ("http://a/\x1b[2J", "whitespace or a control character"),
        ("http://a?x=1", "it must not have a query"),
        ("http://a#x", "it must not have a query or a fragment"),
        ("http://a/f/v1/chat/completions", "it is the URL of one route; end it with '/f/v1'"),
    ],
)
def test_invalid_base_url_is_refused_in_one_line_that_says_why(base_url, problem):
    with pytest.raises(errors.BadRequest, match="is not a valid base URL") as caught:
        address.parse_base_url(base_url)

    assert problem in caught.value.message
    assert caught.value.message.isprintable()


def test_credentials_of_a_base_url_are_apart_and_never_in_a_message():
    url = address.parse_base_url("https://me:p%40ss@a/fleet/v1")

    assert (url.root, url.credentials) == ("https://a/fleet", ("me", "p@ss"))
    with pytest.raises(errors.BadRequest) as caught:
        address.parse_base_url("https://me:s3cret@a:0/")
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("audio", "is_url"),
    [("http://a/x.mp3", True), ("HTTPS://a/x.mp3", True), ("x.mp3", False), ("ftp://a", False)],
)
def test_only_http_and_https_are_urls(audio, is_url):
    assert address.is_url(audio) is is_url
