"""The images' locks have what the extras bring, in the versions of constraints.txt, with hashes."""

import re
from pathlib import Path

import pytest
from contract.test_constraints import CHOSEN_BY_THE_MACHINE, pinned
from fakes.distributions import needed
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = {
    "inference_pod/requirements.txt": ("pod", "measure", "otel"),
    "router/requirements.txt": ("router", "otel"),
    "operator/requirements.txt": ("operator",),
    "batches/requirements.txt": ("batches", "otel"),
}
TORCH = "inference_pod/torch-requirements.txt"
BUILD = "release/build-requirements.txt"
ANEW = "`make constraints` writes the locks anew"


def locked(lock):
    """Return the version and the hashes of each package."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+", entry[0]) for entry in entries)
    return {
        canonicalize_name(name): (version, hashes)
        for (name, version), hashes in ((entry[0].split("=="), entry[1:]) for entry in entries)
    }


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_has_all_that_the_extras_bring_and_nothing_else(lock):
    wanted = {name for name in needed(EXTRAS[lock]) if not CHOSEN_BY_THE_MACHINE.match(name)}
    assert set(locked(lock)) == wanted, ANEW


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_has_the_versions_of_the_constraints(lock):
    pins = pinned()
    versions = {name: version for name, (version, _) in locked(lock).items()}
    assert versions == {name: pins[name] for name in versions}, ANEW


@pytest.mark.parametrize("lock", [*EXTRAS, TORCH, BUILD])
def test_every_package_of_a_lock_has_hashes(lock):
    for name, (_, hashes) in locked(lock).items():
        assert hashes, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), name


def test_what_pytorch_needs_beside_cuda_is_the_pods_version_too():
    pins = pinned()
    for name, (version, _) in locked(TORCH).items():
        assert CHOSEN_BY_THE_MACHINE.match(name) or version == pins[name], ANEW


def test_the_wheel_and_the_sbom_are_made_by_pinned_programs():
    assert {"hatchling", "cyclonedx-bom"} <= set(locked(BUILD))


def test_no_image_has_what_only_tests_need():
    for lock in EXTRAS:
        assert not set(locked(lock)) & {"pytest", "hypothesis", "mypy", "ruff", "uv", "kmock"}
