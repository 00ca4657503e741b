"""Fixtures of the tests of the charts."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from charts.helm import Helm
from control_plane.conftest import started
from fakes.kube_programs import program

SOURCES = {"helm": "see https://helm.sh/docs/intro/install", "helm3": "run .ci/helm3 FOLDER"}
"""Where to get Helm 4 and Helm 3."""


@pytest.fixture(scope="session")
def helms(tmp_path_factory) -> Callable[[str], Helm]:
    """Return what returns Helm by the name of the program."""

    def find(name: str) -> Helm:
        return Helm(program(name, SOURCES[name]), tmp_path_factory.mktemp(name))

    return find


@pytest.fixture(scope="session")
def helm(helms) -> Helm:
    """Return Helm."""
    return helms("helm")


@pytest.fixture(scope="session")
def kubernetes():
    """Yield a control plane with simulated nodes, in which nothing of ours is installed."""
    with tempfile.TemporaryDirectory(prefix="fc-") as folder, started(Path(folder) / "k") as made:
        if made.state is None:
            pytest.skip("only an API server: set FLAMINGO_KUBE for controllers and simulated nodes")
        yield made
