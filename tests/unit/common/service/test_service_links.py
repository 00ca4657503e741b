"""Variables that Kubernetes sets for a Service."""

import pytest

from flamingo_common.service import service_links

PREFIX = "FLAMINGO_ROUTER_"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLAMINGO_ROUTER_SERVICE_HOST", "10.0.0.1"),
        ("FLAMINGO_ROUTER_SERVICE_PORT", "8000"),
        ("FLAMINGO_ROUTER_SERVICE_PORT_HTTP", "8000"),
        ("FLAMINGO_ROUTER_SERVICE_PORT_HTTP_METRICS", "8000"),
        ("FLAMINGO_ROUTER_PORT", "tcp://10.0.0.1:8000"),
        ("FLAMINGO_ROUTER_PORT", "udp://[fd00::1]:8000"),
        ("FLAMINGO_ROUTER_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("FLAMINGO_ROUTER_PORT_8000_TCP_PROTO", "tcp"),
        ("FLAMINGO_ROUTER_PORT_8000_TCP_PORT", "8000"),
        ("FLAMINGO_ROUTER_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("FLAMINGO_ROUTER_PORT_132_SCTP_ADDR", "10.0.0.1"),
        ("FLAMINGO_ROUTER_HEADLESS_SERVICE_HOST", "None"),
        ("FLAMINGO_ROUTER_HEADLESS_PORT", "tcp://10.0.0.1:8000"),
        ("FLAMINGO_ROUTER_A_PORT_80_TCP_PORT", "80"),
    ],
)
def test_a_service_link_is_recognized(name, value):
    assert service_links.is_service_link(name, value, prefix=PREFIX)
    assert service_links.without_links({name: value, "A": "b"}, prefix=PREFIX) == {"A": "b"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLAMINGO_ROUTER_PORT", "8000"),
        ("FLAMINGO_ROUTER_PORT", "http://10.0.0.1:8000"),
        ("FLAMINGO_ROUTER_HOST", "10.0.0.1"),
        ("FLAMINGO_ROUTER_LISTEN_PORT", "8000"),
        ("FLAMINGO_ROUTER_ENDPOINT", "tcp://10.0.0.1:8000"),
        ("FLAMINGO_POD_PORT", "tcp://10.0.0.1:8000"),
    ],
)
def test_other_variables_are_not_service_links(name, value):
    assert not service_links.is_service_link(name, value, prefix=PREFIX)
