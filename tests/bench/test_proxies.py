"""The comparison with other proxies works, and the router buffers no upload.

What a request costs is measured by `python -m bench.proxies`, not here.
"""

import shutil
import sys

import pytest
from bench.proxies import __main__ as bench
from bench.proxies import proxies

MAX_UPLOAD_MB = 64
UPLOAD_MB = 50


@pytest.fixture(scope="module")
def row(needs):
    needs("wrk")
    (router,) = [proxy for proxy in proxies.PROXIES if proxy.name == "flamingo"]
    effort = bench.Effort(seconds=2, upload_bytes=UPLOAD_MB * 10**6, num_uploads=2)
    with bench.upstreams() as ports:
        return bench.measure(router, sys.executable, ports, effort)


def test_an_upload_passes_through_without_being_buffered(row):
    assert float(row.upload_mb) < MAX_UPLOAD_MB


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_proxy_of_the_distribution_handles_every_load(name, needs):
    needs("wrk")
    (proxy,) = [proxy for proxy in proxies.PROXIES if proxy.name == name]
    program = proxies.find(proxy, None) or needs(name)
    effort = bench.Effort(seconds=1, upload_bytes=10**6, num_uploads=1)
    with bench.upstreams() as ports:
        measured = bench.measure(proxy, program, ports, effort)
    assert isinstance(measured.request_us, float)
    assert isinstance(measured.event_us, float)
    assert measured.upload_ms.isdigit()


def test_a_proxy_that_is_not_installed_is_reported(capsys):
    bench.main(["--proxies", "envoy", "--environment", "/nowhere"])
    if shutil.which("envoy") is None:
        assert "envoy is not installed" in capsys.readouterr().out
