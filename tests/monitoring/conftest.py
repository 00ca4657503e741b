"""Fixtures of the tests of monitoring."""

import subprocess

import pytest
from charts.helm import OPERATOR, Helm, of_kind
from fakes.kube_programs import program
from monitoring import prometheus, services, traffic

INSTALL = "Debian: apt install prometheus"


@pytest.fixture(scope="session")
def promtool(needs):
    """Return a function that runs promtool, and returns its exit status and output."""
    found = needs("promtool", install=INSTALL)

    def run(*args):
        command = [found, *map(str, args)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def helm(tmp_path_factory):
    """Return Helm."""
    found = program("helm", "see https://helm.sh/docs/intro/install")
    return Helm(found, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def service_monitor(helm):
    """Return the ServiceMonitor of the operator's chart."""
    values = {"serviceMonitor": {"enabled": True}}
    flags = ("--api-versions=monitoring.coreos.com/v1/ServiceMonitor",)
    return of_kind(helm.render(OPERATOR, values, *flags), "ServiceMonitor")


@pytest.fixture(scope="session")
def scraped(needs, service_monitor, model_cache, tmp_path_factory):
    """Yield a Prometheus that has scraped our services before, between and after requests."""
    found = needs("prometheus", install=INSTALL)
    with services.running() as running:
        config = services.config(running, service_monitor)
        folder = tmp_path_factory.mktemp("prometheus")
        with prometheus.running(found, config, folder) as scraping:
            scraping.wait_for_targets(services.NUM_SERVERS + 3)
            for number in (1, 2):
                traffic.send(running.router, number)
                traffic.send_batch(running.batches)
                running.act()
                scraping.wait_for_scrape()
            yield scraping
