"""Which addresses may be fetched from."""

import re

import pytest

from flamingo_common.service import addresses

PRIVATE = addresses.ip_network("10.1.0.0/16")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "192.0.0.192",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public_are_not_allowed(host):
    assert not addresses.is_allowed(host, 80, [])


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        pytest.param("93.184.216.34", 443, True, id="public"),
        pytest.param("2606:2800:220:1::1", 80, True, id="public v6"),
        pytest.param("93.184.216.34", 6379, False, id="public, another service's port"),
        pytest.param("10.1.2.3", 9000, True, id="private, in an allowed network"),
        pytest.param("::ffff:10.1.2.3", 9000, True, id="the same as an IPv4-mapped address"),
        pytest.param("10.2.2.3", 80, False, id="private, in another network"),
    ],
)
def test_public_addresses_and_allowed_networks_are_allowed(host, port, allowed):
    assert addresses.is_allowed(host, port, [PRIVATE]) is allowed


@pytest.mark.parametrize(
    "host",
    [
        "xn--a.com",
        "xn--zzzzzz99999.com",
        "xn--.com",
        "אa.com",
        "é" * 70 + ".com",
        "a" * 64 + ".com",
        "a..com",
        ".com",
        "..",
        "a." * 130 + "com",
    ],
)
def test_a_host_that_no_resolver_takes_is_named_in_the_error(host):
    with pytest.raises(ValueError, match=f"not a valid name: '{re.escape(host[:63])}") as caught:
        addresses.parse_url(f"https://me:secret@{host}/a.mp3?a=b")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["a.com", "a.com.", "a_b.com", "bücher.de", "xn--bcher-kva.de", "[::1]", "1.2.3.4", "a" * 63],
)
def test_a_host_that_can_be_resolved_is_a_url(host):
    assert addresses.url_error(addresses.parse_url(f"https://{host}/a.mp3"), []) is None
