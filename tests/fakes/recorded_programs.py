"""Programs that write down how they were called, on the PATH of a script under test."""

import os
import subprocess
import sys
from pathlib import Path

from fakes.patience import PATIENCE_S


class RecordedPrograms:
    """A folder of programs; what they do beside the record is a line of shell."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "programs"
        self._folder.mkdir()
        self._record = folder / "calls"
        self._record.touch()

    def make(self, name: str, body: str = "") -> None:
        """Add a program."""
        file = self._folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self._record}"\n{body}\n')
        file.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """Return how a program was called, in order."""
        return [line for line in self._record.read_text().splitlines() if line.split()[0] == name]

    def run(self, script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a script with them before what is installed."""
        paths = [str(self._folder), str(Path(sys.executable).parent), os.environ["PATH"]]
        environ = {**os.environ, "PATH": os.pathsep.join(paths)}
        command = [str(one) for one in (script, *arguments)]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
