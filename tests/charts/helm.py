"""Helm without a cluster: what a chart renders, and why it refuses values."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from fakes.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
FLEET = ROOT / "helm" / "flamingo"
OPERATOR = ROOT / "helm" / "flamingo-operator"
RELEASES = {
    FLEET.name: ("music", "--namespace=audio"),
    OPERATOR.name: ("flamingo-operator", "--namespace=flamingo-system"),
}
"""The name and the namespace of a release of each chart."""


@dataclass(frozen=True)
class Helm:
    """The program, with folders of its own for what it caches."""

    program: str
    home: Path

    def call(
        self, *args: str, stdin: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        homes = {f"HELM_{one}_HOME": str(self.home) for one in ("CACHE", "CONFIG", "DATA")}
        command = [self.program, *args]
        whole = {**os.environ, **homes, **environ}
        return subprocess.run(
            command,
            input=stdin,
            env=whole,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def render(self, chart: Path, values: Mapping[str, Any], *flags: str) -> list[dict[str, Any]]:
        """Return the objects that a release would have."""
        done = self.template(chart, values, *flags)
        assert done.returncode == 0, done.stderr
        return objects(done.stdout)

    def template(
        self, chart: Path, values: Mapping[str, Any], *flags: str
    ) -> subprocess.CompletedProcess[str]:
        command = ("template", *RELEASES[chart.name], str(chart), "--values=-", *flags)
        return self.call(*command, stdin=json.dumps(values))

    def refusal(self, chart: Path, values: Mapping[str, Any], *flags: str) -> str:
        """Return why the values are refused."""
        done = self.template(chart, values, *flags)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def notes(self, chart: Path, values: Mapping[str, Any]) -> str:
        """Return what is printed after an installation."""
        command = ("install", *RELEASES[chart.name], str(chart), "--values=-")
        done = self.call(*command, "--dry-run=client", stdin=json.dumps(values))
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("\nNOTES:\n")[2]


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML stream."""
    # The parser in C: a CustomResourceDefinition has ten thousand lines.
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only object of a kind."""
    (found,) = (one for one in objects if one["kind"] == kind)
    return found
