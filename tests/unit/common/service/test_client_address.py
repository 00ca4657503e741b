"""The client's address: past trusted proxies only."""

from ipaddress import ip_network

import pytest

from flamingo_common.service.client_address import client_address, forwarded_element

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # no proxy has written this
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the first is the client's own
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("::ffff:10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, \x1b[31m", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (None, "198.51.100.1", ""),
    ],
)
def test_the_client_is_the_first_that_no_trusted_proxy_has_sent(peer, forwarded_for, client):
    assert client_address(peer, forwarded_for, PROXIES) == client


def test_without_trusted_proxies_the_header_is_not_read():
    assert client_address("10.0.0.1", "198.51.100.1", []) == "10.0.0.1"


def test_an_ipv6_address_is_quoted():
    assert forwarded_element("198.51.100.1") == "for=198.51.100.1"
    assert forwarded_element("2001:db8::1") == 'for="[2001:db8::1]"'
