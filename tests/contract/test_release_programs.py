"""What the release workflow calls: the comparison of versions, the signing, the charts."""

import json
from pathlib import Path

import pytest
import version
from fakes.recorded_programs import RecordedPrograms

ROOT = Path(__file__).parents[2]
SIGN = ROOT / "release" / "sign_image.sh"
CHANGELOG = (
    "# Changelog\n\n## 0.2.0 (2027-01-02)\n\n### API\n\n- New.\n\n## 0.1.0 (2026-12-01)\n\n- Old.\n"
)
NAME = "registry.example/audio/router"
INDEX = {
    "manifests": [
        {"digest": "sha256:aaa", "platform": {"architecture": "amd64", "os": "linux"}},
        {"digest": "sha256:bbb", "platform": {"architecture": "arm64", "os": "linux"}},
        {"digest": "sha256:ccc", "platform": {"architecture": "unknown", "os": "unknown"}},
    ]
}
ATTEST = "cosign attest --yes --type cyclonedx --predicate"
GOOD = {
    "components": [
        {"name": "a", "version": "1", "purl": "pkg:pypi/a@1", "licenses": [{"expression": "MIT"}]}
    ]
}
BAD = {"components": [GOOD["components"][0] | {"licenses": [{"expression": "AGPL-3.0-only"}]}]}


def test_the_tag_of_a_dated_version_is_accepted():
    assert version.faults("v0.2.0", "0.2.0", CHANGELOG) == []


@pytest.mark.parametrize(
    ("tag", "stated", "changelog", "fault"),
    [
        ("v0.2.1", "0.2.0", CHANGELOG, "the tag is v0.2.1, but pyproject.toml has version 0.2.0"),
        ("0.2.0", "0.2.0", CHANGELOG, "tag v0.2.0"),
        ("v0.3.0", "0.3.0", CHANGELOG, "does not begin with version 0.3.0"),
        ("v1.0.0", "1.0.0", "## 1.0.0 (unreleased)\n", "has no date of version 1.0.0"),
        ("v1.0.0", "1.0.0", "", "does not begin with version 1.0.0"),
    ],
)
def test_another_tag_or_an_undated_changelog_is_refused(tag, stated, changelog, fault):
    (found,) = version.faults(tag, stated, changelog)
    assert fault in found


def test_the_notes_are_the_section_of_the_version():
    assert version.notes("0.2.0", CHANGELOG) == "### API\n\n- New."
    assert version.notes("0.1.0", CHANGELOG) == "- Old."


def test_the_version_program_prints_notes_and_refuses_other_arguments(capsys):
    assert version.main(["notes"]) == 0
    assert capsys.readouterr().out.strip()
    assert version.main([]) == 2
    assert version.main(["check", "v999.0.0"]) == 1
    assert "v999.0.0" in capsys.readouterr().err


def docker(programs, folder, bom):
    (folder / "index.json").write_text(json.dumps(INDEX))
    (folder / "sbom.json").write_text(json.dumps(bom))
    programs.make("docker", f'[ "$1" = run ] && cat {folder}/sbom.json || cat {folder}/index.json')


@pytest.fixture
def programs(tmp_path):
    made = RecordedPrograms(tmp_path)
    made.make("cosign")
    return made


def test_an_image_is_signed_and_each_platform_has_its_sbom_attested(programs, tmp_path):
    docker(programs, tmp_path, GOOD)
    done = programs.run(SIGN, NAME, "sha256:000", "linux/amd64,linux/arm64", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "router-amd64.cdx.json",
        "router-arm64.cdx.json",
    ]
    assert programs.calls("cosign") == [
        f"{ATTEST} {tmp_path}/out/router-amd64.cdx.json {NAME}@sha256:aaa",
        f"{ATTEST} {tmp_path}/out/router-arm64.cdx.json {NAME}@sha256:bbb",
        f"cosign sign --yes --recursive {NAME}@sha256:000",
    ]


def test_an_image_with_a_license_that_may_not_be_in_it_is_not_signed(programs, tmp_path):
    docker(programs, tmp_path, BAD)
    done = programs.run(SIGN, NAME, "sha256:000", "linux/amd64", tmp_path / "out")
    assert done.returncode != 0
    assert "AGPL-3.0-only" in done.stderr
    assert not programs.calls("cosign")


def test_an_image_that_lacks_a_platform_is_not_signed(programs, tmp_path):
    docker(programs, tmp_path, GOOD)
    done = programs.run(SIGN, NAME, "sha256:000", "linux/riscv64", tmp_path / "out")
    assert done.returncode != 0
    assert "no manifest for riscv64" in done.stderr
    assert not programs.calls("cosign")
