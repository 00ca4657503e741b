"""Helm in a cluster."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.kube_programs import program
from fakes.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
FLEET = ROOT / "helm" / "flamingo"
TINY = {"model": {"id": "flamingo-tiny"}}


@dataclass(frozen=True)
class Releases:
    """Helm, for the releases of a namespace."""

    kubeconfig: Path
    namespace: str
    home: Path

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """Start Helm, with its values on standard input if there are any."""
        command = [program("helm", "see https://helm.sh/docs/intro/install"), *args]
        command += [f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}"]
        homes = {f"HELM_{one}_HOME": str(self.home) for one in ("CACHE", "CONFIG", "DATA")}
        return subprocess.Popen(
            command,
            env=os.environ | homes,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def call(self, *args: str, values: dict[str, Any] | None = None) -> tuple[int, str]:
        """Return the exit status and what Helm printed."""
        given = ("--values=-",) if values is not None else ()
        process = self.start(*args, *given)
        output = process.communicate(json.dumps(values), timeout=PATIENCE_S)[0]
        return process.returncode, output

    def output(self, *args: str, values: dict[str, Any] | None = None) -> str:
        """Return what Helm printed, which must have succeeded."""
        status, output = self.call(*args, values=values)
        assert status == 0, output
        return output

    def refusal(self, *args: str, values: dict[str, Any] | None = None) -> str:
        """Return why Helm failed."""
        status, output = self.call(*args, values=values)
        assert status != 0, output
        return output

    def install(self, values: dict[str, Any], *flags: str, name: str = "music") -> str:
        """Install a fleet."""
        return self.output("install", name, str(FLEET), *flags, values={**TINY, **values})

    def upgrade(self, values: dict[str, Any], *flags: str, name: str = "music") -> str:
        """Upgrade a fleet to exactly these values."""
        return self.output("upgrade", name, str(FLEET), *flags, values={**TINY, **values})
