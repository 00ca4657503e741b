"""The version is stated once, in pyproject.toml, and there is one repository; all agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from flamingo_operator.settings import RELEASE

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CHARTS = sorted((ROOT / "helm").glob("*/Chart.yaml"))
OURS = re.compile(r"ghcr\.io/flamingo-fleet/(?:pod|router|operator):(\d[\w.+-]*)")
CHART = re.compile(r"oci://ghcr\.io/flamingo-fleet/charts/\S+ --version (\S+)")
TEXTS = [ROOT / "install.yaml", ROOT / "README.md", ROOT / "SECURITY.md"]
PAGES = sorted(
    path
    for path in [*TEXTS, *(ROOT / "docs").glob("*.md"), *(ROOT / "helm").rglob("*.*ml")]
    if path.exists()
)
NEXT = {"0.1.1", "0.1.2"}
"""In examples of a change to another image."""


def test_the_operator_is_of_this_release():
    assert RELEASE == VERSION


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.parent.name)
def test_a_chart_is_of_this_release(path):
    chart = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert (chart["version"], str(chart["appVersion"])) == (VERSION, VERSION)


@pytest.mark.parametrize("folder", ["inference_pod", "router", "operator", "batches"])
def test_an_image_is_of_this_release_by_default(folder):
    text = (ROOT / folder / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^ARG VERSION=(.*)$", text, re.MULTILINE) == [VERSION]


def test_the_changelog_begins_with_this_release():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", text, re.MULTILINE)[1] == VERSION


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_images_and_charts_of_this_release(path):
    text = path.read_text(encoding="utf-8")
    assert {*OURS.findall(text), *CHART.findall(text)} - NEXT <= {VERSION}


REPOSITORY = "flamingo-fleet/flamingo-fleet"
STATED = re.compile(r"(?:github\.com/|--repo )(flamingo-fleet/[\w-]+)")
DOCKERFILES = sorted(ROOT.glob("*/Dockerfile"))


@pytest.mark.parametrize(
    "path", [*PAGES, *DOCKERFILES], ids=lambda path: str(path.relative_to(ROOT))
)
def test_all_name_the_same_repository(path):
    """A signature is checked against its name, and a runbook is read there."""
    assert {*STATED.findall(path.read_text(encoding="utf-8"))} <= {REPOSITORY}
