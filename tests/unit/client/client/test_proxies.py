"""Which proxy the environment variables name for a URL."""

import pytest

from flamingo.client import proxies
from flamingo_common import errors

PROXY = "http://proxy:3128"


def proxy_of(url, **environ):
    proxy = proxies.read_settings(environ).proxy_for(url)
    return proxy and (proxy.url, proxy.variable)


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": PROXY}, (PROXY, "HTTP_PROXY"), None),
        ({"http_proxy": PROXY}, (PROXY, "http_proxy"), None),
        ({"HTTPS_PROXY": PROXY}, None, (PROXY, "HTTPS_PROXY")),
        ({"ALL_PROXY": PROXY}, (PROXY, "ALL_PROXY"), (PROXY, "ALL_PROXY")),
        (
            {"all_proxy": PROXY, "HTTPS_PROXY": "http://b"},
            (PROXY, "all_proxy"),
            ("http://b", "HTTPS_PROXY"),
        ),
        ({"http_proxy": PROXY, "HTTP_PROXY": "http://b"}, (PROXY, "http_proxy"), None),
        ({"http_proxy": "", "HTTP_PROXY": PROXY}, None, None),
        ({"HTTP_PROXY": " proxy:3128\n"}, (PROXY, "HTTP_PROXY"), None),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None, None),
        ({"HTTP_PROXY": PROXY, "no_proxy": "*"}, None, None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "fleet.example"}, None, None),
    ],
)
def test_variable_of_the_scheme_counts_in_lower_case_first(environ, http, https):
    assert proxy_of("http://fleet.example/v1", **environ) == http
    assert proxy_of("https://fleet.example/v1", **environ) == https


@pytest.mark.parametrize(
    ("entry", "url", "is_excepted"),
    [
        ("fleet.example", "http://fleet.example:8000", True),
        ("fleet.example", "http://FLEET.example.", True),
        ("fleet.example", "http://a.fleet.example", True),
        ("fleet.example", "http://myfleet.example", False),
        (".fleet.example", "http://a.fleet.example", True),
        (".fleet.example", "http://fleet.example", True),
        ("*.fleet.example", "http://a.fleet.example", True),
        ("fleet.example:8000", "http://fleet.example:8000", True),
        ("fleet.example:8000", "http://fleet.example", False),
        ("fleet.example:80", "http://fleet.example", True),
        ("http://fleet.example", "http://fleet.example", True),
        ("https://fleet.example", "http://fleet.example", False),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://fleet.example", False),
        ("fd00::/8", "http://[fd00::1]:8000", True),
        ("[fd00::1]:8000", "http://[fd00::1]:8000", True),
        ("[fd00::1]:8000", "http://[fd00::1]", False),
        ("a, b  c,fleet.example ,", "http://fleet.example", True),
        ("a b fleet.example", "http://fleet.example", True),
        ("", "http://fleet.example", False),
        (",", "http://fleet.example", False),
        (".", "http://fleet.example", False),
    ],
)
def test_entries_of_no_proxy(entry, url, is_excepted):
    assert (proxy_of(url, HTTP_PROXY=PROXY, NO_PROXY=entry) is None) is is_excepted


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0"]
)
def test_this_machine_is_never_behind_a_proxy(host):
    assert proxy_of(f"http://{host}:8000", HTTP_PROXY=PROXY, ALL_PROXY=PROXY) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("socks5://proxy:1080", "SOCKS"),
        ("ftp://proxy", "not a valid proxy URL"),
        ("http://", "not a valid proxy URL"),
        ("http://[::1", "not a valid proxy URL"),
        ("http://proxy:99999", "not a valid proxy URL"),
        ("http://a b", "not a valid proxy URL"),
    ],
)
def test_invalid_proxy_is_refused_with_its_variable_and_without_its_password(text, reason):
    text = text.replace("//", "//me:s3cret@")

    with pytest.raises(errors.BadRequest, match=f"^ALL_PROXY: .*{reason}") as caught:
        proxy_of("http://fleet.example", ALL_PROXY=text)

    assert "s3cret" not in caught.value.message
    assert proxy_of("http://fleet.example", ALL_PROXY=text, NO_PROXY="fleet.example") is None
