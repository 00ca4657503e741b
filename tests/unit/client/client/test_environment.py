"""The URL and the API key from arguments and from the environment."""

import pytest

from flamingo import FlamingoClient
from flamingo.client import environment
from flamingo.client.address import BaseUrl
from flamingo_common import errors

URL = BaseUrl("http://a")


@pytest.mark.parametrize("text", ["sk-1", "sk-1\n", " sk-1\r\n", "\ufeffsk-1"])
def test_key_is_trimmed_wherever_it_comes_from(text):
    for key, environ in [(text, {}), (None, {"FLAMINGO_API_KEY": text})]:
        assert environment.authorization(key, URL, environ) == "Bearer sk-1"


@pytest.mark.parametrize("text", ["sk\n1", "sk 1", "sk\x001", "sk\u20ac", "sk\udce9", "\n"])
def test_key_that_no_header_can_carry_is_refused_with_its_source(text):
    for source, key, environ in [
        ("api_key", text, {}),
        ("FLAMINGO_API_KEY", None, {"FLAMINGO_API_KEY": text}),
    ]:
        with pytest.raises(errors.BadRequest, match=f"^{source}: ") as caught:
            environment.authorization(key, URL, environ)
        assert caught.value.message.isprintable()
        assert text not in caught.value.message


@pytest.mark.parametrize("key", [None, ""])
def test_no_key_is_no_header(key):
    assert environment.authorization(key, URL, {"FLAMINGO_API_KEY": ""}) is None


def test_credentials_in_the_url_are_basic_authentication():
    url = BaseUrl("http://a", ("me", "pässword"))

    assert environment.authorization(None, url, {}) == "Basic bWU6cMOkc3N3b3Jk"
    with pytest.raises(errors.BadRequest, match="FLAMINGO_API_KEY"):
        environment.authorization(None, url, {"FLAMINGO_API_KEY": "sk-1"})


def test_invalid_url_names_the_variable_it_came_from():
    with pytest.raises(errors.BadRequest, match=r"^FLAMINGO_URL: .* has no scheme"):
        environment.base_url(None, {"FLAMINGO_URL": "fleet:8000"})
    with pytest.raises(errors.BadRequest, match=r"^'fleet:8000' is not"):
        FlamingoClient("fleet:8000")


def test_argument_is_preferred_and_the_local_fleet_is_the_default():
    environ = {"FLAMINGO_URL": "http://b"}

    assert environment.base_url("http://a", environ).root == "http://a"
    assert environment.base_url(None, environ).root == "http://b"
    assert environment.base_url(None, {}).root == "http://127.0.0.1:8000"


@pytest.mark.parametrize("key", [b"sk-1", 7, ["sk-1"]])
def test_a_key_that_is_no_string_is_a_type_error(key):
    with pytest.raises(TypeError, match="api_key must be a string, not "):
        FlamingoClient("http://a", api_key=key)
