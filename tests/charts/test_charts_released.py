"""The release pushes both charts in the version of the release, and signs what was pushed."""

import tomllib
from pathlib import Path

import pytest
from fakes.kube_programs import program
from fakes.recorded_programs import RecordedPrograms

ROOT = Path(__file__).parents[2]
PUSH = ROOT / "release" / "push_charts.sh"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
PUSHES = '[ "$1" = push ] && test -f "$2" && echo "Digest: sha256:$(basename "$2" .tgz)" && exit'


@pytest.fixture
def programs(tmp_path):
    """Return Helm and cosign, of which one packages charts and neither reaches a registry."""
    made = RecordedPrograms(tmp_path)
    helm = program("helm", "see https://helm.sh/docs/intro/install")
    made.make("helm", f'{PUSHES}\n[ "$1" = push ] || exec {helm} "$@"\nexit 1')
    made.make("cosign")
    return made


def test_the_charts_are_packaged_pushed_and_signed_by_their_digest(programs):
    done = programs.run(PUSH, "registry.example/charts", VERSION)
    assert done.returncode == 0, done.stderr
    assert programs.calls("cosign") == [
        f"cosign sign --yes registry.example/charts/{chart}@sha256:{chart}-{VERSION}"
        for chart in ("flamingo-operator", "flamingo")
    ]


def test_charts_of_another_version_are_neither_pushed_nor_signed(programs):
    done = programs.run(PUSH, "registry.example/charts", "99.0.0")
    assert done.returncode != 0
    assert not programs.calls("cosign")
