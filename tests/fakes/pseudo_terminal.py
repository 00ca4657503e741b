"""A command in a terminal: what is written to it is typed, Ctrl-C included."""

import asyncio
import contextlib
import os
import sys

from fakes.patience import PATIENCE_S

CTRL_C, CTRL_D = "\x03", "\x04"
SPAWN = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))\n"


class Terminal:
    """A running command, and what the terminal has shown since the last `shows`."""

    def __init__(self, process):
        self._process = process
        self._shown = ""

    def type(self, keys):
        self._process.stdin.write(keys.encode())

    async def shows(self, text):
        """Wait for a text; return what was shown until its end."""
        async with asyncio.timeout(PATIENCE_S):
            while text not in self._shown:
                data = await self._process.stdout.read(4096)
                assert data, f"{text!r} is not in {self._shown!r}"
                self._shown += data.decode("utf-8", "replace")
        before, _, self._shown = self._shown.partition(text)
        return before + text

    async def ends(self):
        """Wait for the end; return the exit status and what was shown at last."""
        async with asyncio.timeout(PATIENCE_S):
            rest = await self._process.stdout.read()
            return await self._process.wait(), self._shown + rest.decode("utf-8", "replace")


@contextlib.asynccontextmanager
async def running(*command, environ=None):
    """Run a command in a terminal of 80 columns."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", SPAWN, *command],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **(environ or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Terminal(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
