"""What is in our images: the environment that the SBOM states, and labels that say so."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest
import sbom
from cluster.images import NAMES
from contract.cyclonedx import schema_errors
from contract.test_constraints import CHOSEN_BY_THE_MACHINE
from contract.test_locks import EXTRAS
from fakes.distributions import needed
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.timeout(900)

LOCKS = {name: name for name in NAMES} | {"pod": "inference_pod"}
PREFIX = "org.opencontainers.image."
LABELS = (
    *("title", "description", "vendor", "url", "source", "documentation", "licenses"),
    *("version", "revision", "created", "base.name"),
)
DIST_INFO = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")


@pytest.fixture(params=NAMES)
def image(request, built):
    return request.param, built[request.param]


@contextlib.contextmanager
def mounted(name):
    """Yield the files of an image."""
    container = _buildah("from", "--pull=never", name)
    try:
        yield Path(_buildah("mount", container))
    finally:
        _buildah("rm", container)


def _buildah(*arguments):
    done = subprocess.run(
        ["buildah", *arguments], check=True, capture_output=True, text=True, timeout=120
    )
    return done.stdout.strip()


def test_the_sbom_is_what_is_installed_and_may_be_passed_on(image):
    role, name = image
    with mounted(name) as root:
        bom = json.loads((root / "opt/flamingo/sbom.cdx.json").read_text(encoding="utf-8"))
        folders = (root / "opt/flamingo/lib").glob("python3.*/site-packages/*.dist-info")
        matches = [DIST_INFO.fullmatch(folder.name) for folder in folders]

    installed = {canonicalize_name(one["name"]): one["version"] for one in matches}
    stated = {
        canonicalize_name(one["name"]): one["version"]
        for one in bom["components"]
        if one["purl"].startswith("pkg:pypi/")
    }
    assert stated == installed
    wanted = needed(EXTRAS[f"{LOCKS[role]}/requirements.txt"]) | {"flamingo-fleet"}
    assert {one for one in installed if not CHOSEN_BY_THE_MACHINE.match(one)} == {
        one for one in wanted if not CHOSEN_BY_THE_MACHINE.match(one)
    }
    assert schema_errors(bom) == []
    assert sbom.faults(bom) == []
    assert bom["metadata"]["component"]["name"] == role


def test_the_labels_say_what_an_image_is_and_where_it_is_from(image):
    _, name = image
    config = json.loads(_buildah("inspect", "--type", "image", name))["OCIv1"]["config"]
    labels = config["Labels"]
    assert [one for one in LABELS if not labels.get(PREFIX + one)] == []
    assert labels["dev.flamingo.sbom"] == "/opt/flamingo/sbom.cdx.json"
    assert config["User"] == "10001:10001"
