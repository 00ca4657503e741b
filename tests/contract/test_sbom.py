"""The software bill of materials of an image: complete, in CycloneDX, with allowed licenses only.

Here it is made of this environment, which has all that the images have; `tests/cluster` checks
those of the images.
"""

import copy
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import bundled
import licenses
import pytest
import sbom
from contract.cyclonedx import schema_errors
from fakes.distributions import needed
from fakes.patience import PATIENCE_S
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "release" / "sbom.py"
NVIDIAS = "LicenseRef-NVIDIA-Proprietary"
IN_AN_IMAGE = needed(("pod", "router", "operator", "batches", "measure", "otel")) | {
    "flamingo-fleet"
}


@pytest.fixture(scope="module")
def of_this_environment(tmp_path_factory):
    file = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    write = [sys.executable, PROGRAM, "write", sys.executable, "pod", file]
    subprocess.run(write, check=True, capture_output=True, timeout=PATIENCE_S)
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def of_images(of_this_environment):
    """What images have of this environment, which also has what tests need."""
    components = [
        one
        for one in of_this_environment["components"]
        if one["purl"].startswith("pkg:generic/") or canonicalize_name(one["name"]) in IN_AN_IMAGE
    ]
    return {**of_this_environment, "components": components}


def test_it_is_valid_cyclonedx(of_this_environment):
    assert schema_errors(of_this_environment) == []


def test_it_has_every_installed_package_in_its_version(of_images):
    found = {canonicalize_name(one["name"]): one["version"] for one in of_images["components"]}
    wanted = {name: metadata.version(name) for name in IN_AN_IMAGE}
    assert {name: found.get(name) for name in wanted} == wanted


def test_every_license_is_known_and_allowed(of_images):
    assert sbom.faults(of_images) == []


def test_the_libraries_in_wheels_are_listed_with_ffmpeg_among_them(of_images):
    libraries = [one for one in of_images["components"] if one["purl"].startswith("pkg:generic/")]
    assert {"FFmpeg", "LAME", "OpenBLAS"} <= {one["name"] for one in libraries}


def test_the_image_is_the_root_component(of_this_environment):
    root = of_this_environment["metadata"]["component"]
    assert (root["type"], root["name"]) == ("container", "pod")
    assert root["version"] == metadata.version("flamingo-fleet")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"licenses": [{"expression": "AGPL-3.0-only"}]}, "the license AGPL-3.0-only is not in"),
        ({"licenses": [{"expression": "MIT AND GPL-3.0-only"}]}, "is not in"),
        ({"licenses": [{"license": {"name": "Free"}}]}, "the license None is not in"),
        ({"licenses": []}, "no license"),
        ({"purl": None}, "no purl"),
        ({"version": ""}, "no version"),
    ],
)
def test_a_fault_is_reported_with_the_component(of_images, change, fault):
    bom = copy.deepcopy(of_images)
    bom["components"][0] |= change
    (found,) = sbom.faults(bom)
    assert found.startswith(bom["components"][0]["bom-ref"])
    assert fault in found


def test_an_empty_sbom_is_a_fault_and_ends_with_status_1(tmp_path, capsys):
    file = tmp_path / "sbom.cdx.json"
    file.write_text('{"components": []}')
    assert sbom.main(["check", str(file)]) == 1
    assert "no components" in capsys.readouterr().err


def test_other_arguments_end_with_status_2(capsys):
    assert sbom.main(["chekc"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [
        ("av.libs/libavcodec-5e6b81c2.so.62.28.102", "FFmpeg", "so.62.28.102"),
        ("numpy.libs/libgfortran-040039e1-0352e75f.so.5.0.0", "libgfortran", "so.5.0.0"),
        ("numpy.libs/libscipy_openblas64_-32a4b2a6.so", "OpenBLAS", "so.0"),
        ("torch/lib/libgomp.so.1", "libgomp", "so.1"),
    ],
)
def test_a_bundled_library_is_named_for_its_project(path, name, version):
    made = bundled.component(path)
    assert (made["name"], made["version"]) == (name, version)
    assert made["licenses"]


def test_an_unknown_bundled_library_has_no_license_and_so_is_a_fault():
    made = bundled.component("new.libs/libnew-00112233.so.1")
    assert "licenses" not in made
    assert sbom.faults({"components": [made]})


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("a", "MIT OR GPL-3.0-only", True),
        ("a", "MIT AND Apache-2.0", True),
        ("a", "GPL-2.0-or-later", False),
        ("x264", "GPL-2.0-or-later", True),
        ("x264", "AGPL-3.0-only", False),
    ],
)
def test_a_license_is_allowed_by_name(name, text, allowed):
    assert licenses.is_allowed(name, text) is allowed


@pytest.mark.parametrize(
    ("name", "declared", "text"),
    [
        (
            "nvidia-cublas",
            ["License :: Other/Proprietary License"],
            "LicenseRef-NVIDIA-Proprietary",
        ),
        ("nvidia-nccl-cu13", ["BSD-3-Clause"], "BSD-3-Clause"),
        ("triton", ["License :: OSI Approved :: MIT License"], "MIT"),
        ("requests", ["Apache-2.0", "License :: OSI Approved :: Apache"], "Apache-2.0"),
        ("new", ["License :: OSI Approved :: BSD License"], None),
        ("new", [], None),
    ],
)
def test_a_license_is_taken_from_what_a_package_declares(name, declared, text):
    assert licenses.expression(name, declared) == text


def test_the_exceptions_are_explained_in_the_docs():
    page = (ROOT / "docs" / "supply-chain.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in licenses.EXCEPTIONS)
