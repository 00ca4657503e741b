"""The wheel and the source distribution: the same bytes from the same sources, and complete."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE")
PACKAGES = {
    "common": "flamingo_common",
    "client": "flamingo",
    "router": "flamingo_router",
    "inference_pod": "flamingo_pod",
    "operator": "flamingo_operator",
    "batches": "flamingo_batches",
}
BUILD = [sys.executable, "-m", "hatchling", "build", "--directory"]


def copied(folder, *, mode, time_s):
    """Return a copy of the sources, as another machine would have checked them out."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *SOURCES, *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
        target.chmod(mode)
        os.utime(target, (time_s, time_s))
    return folder


def built(source, target, *kinds):
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "1790000000"}
    environ["PYTHONPATH"] = ""
    command = [*BUILD, target, *(f"--target={kind}" for kind in kinds)]
    subprocess.run(command, cwd=source, env=environ, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in target.iterdir()}


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """Both distributions, built in two folders from files of other times and permissions."""
    folder = tmp_path_factory.mktemp("wheel")
    first = copied(folder / "first", mode=0o644, time_s=1_000_000_000)
    second = copied(folder / "elsewhere" / "second", mode=0o600, time_s=1_500_000_000)
    return tuple(built(one, one / "dist", "wheel", "sdist") for one in (first, second))


@pytest.mark.parametrize("ending", [".whl", ".tar.gz"])
def test_two_builds_are_the_same_bytes(twice, ending):
    first, second = (
        next(content for name, content in one.items() if name.endswith(ending)) for one in twice
    )
    assert first == second


def test_the_wheel_of_a_source_distribution_is_that_of_the_repository(twice, tmp_path):
    archive = next(name for name in twice[0] if name.endswith(".tar.gz"))
    (tmp_path / archive).write_bytes(twice[0][archive])
    with tarfile.open(tmp_path / archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / archive).unlink()
    (source,) = tmp_path.iterdir()
    wheel = next(name for name in twice[0] if name.endswith(".whl"))
    assert built(source, tmp_path / "dist", "wheel")[wheel] == twice[0][wheel]


def test_the_wheel_has_every_tracked_file_of_the_packages_and_nothing_else(twice, tmp_path):
    name = next(name for name in twice[0] if name.endswith(".whl"))
    (tmp_path / name).write_bytes(twice[0][name])
    with zipfile.ZipFile(tmp_path / name) as wheel:
        found = {one for one in wheel.namelist() if ".dist-info/" not in one}
    listed = subprocess.run(
        ["git", "ls-files", "--", *(f"{top}/{package}" for top, package in PACKAGES.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert found == {one.partition("/")[2] for one in listed}
