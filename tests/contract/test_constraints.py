"""`constraints.txt` is what is installed, and nothing else: `make constraints` writes it."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from fakes.distributions import needed
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = ("pod", "batch", "router", "operator", "batches", "measure", "otel", "dev")
CHOSEN_BY_THE_MACHINE = re.compile(r"(torch|triton|setuptools|nvidia-.*|cuda-.*)$")


def pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def chosen_by_us():
    """Return the names of all that our extras bring and whose version is ours to choose."""
    return {name for name in needed(EXTRAS) if not CHOSEN_BY_THE_MACHINE.match(name)}


def test_every_pin_is_what_is_installed():
    wrong = {}
    for name, version in pinned().items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = None
        if installed != version:
            wrong[name] = (version, installed)
    assert not wrong, "pinned, installed; `make constraints` writes the file anew"


def test_all_that_is_needed_is_pinned():
    assert chosen_by_us() - set(pinned()) == set(), "`make constraints` writes the file anew"


def test_nothing_is_pinned_that_is_not_needed():
    assert set(pinned()) - chosen_by_us() == set(), "`make constraints` writes the file anew"


@pytest.mark.parametrize("name", ["torch", "nvidia-cublas-cu13", "triton"])
def test_the_build_of_torch_is_left_to_the_machine(name):
    assert name not in pinned()
