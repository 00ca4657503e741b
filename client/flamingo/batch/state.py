"""The state file of an output: what it is about, and the lock of the run that writes to it.

It says which task with which options the results are of, and from which source. A later run with
others is refused, since its results would be mixed with those.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from flamingo.batch.identity import Identity
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable


class StateFile:
    """A locked state file; `close` unlocks it."""

    def __init__(self, path: Path) -> None:
        """Open and lock the file; it is created if it does not exist.

        Raises:
            BadRequest: another run holds the lock, or the file cannot be written.
        """
        self.path = path
        self._shown = printable.escape_line(str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BadRequest(f"cannot write the state file {self._shown}: {reason}") from None
        self._lock()

    def read(self) -> dict[str, Any] | None:
        """Return the contents; None for a file that is new, or whose only write was cut short."""
        try:
            state = json.loads(os.pread(self._descriptor, 2**24, 0))
        except ValueError:
            return None
        return state if isinstance(state, dict) else None

    def write(self, identity: Identity) -> None:
        """Replace the contents; they survive a power failure.

        Raises:
            OSError: the disk is full, for example.
        """
        text = json.dumps(identity.as_json(), indent=2).encode() + b"\n"
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Unlock the file; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise BadRequest(
                f"another run holds the lock of {self._shown}: two runs cannot write to one output."
                " Wait until it has ended, or write to another output"
            ) from None
