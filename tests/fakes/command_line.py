"""The command line `flamingo` as a process, with a fake pod as its fleet."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass

from fakes import pods

FLAMINGO = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()"]


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it printed."""

    status: int
    out: bytes
    err: bytes

    @property
    def lines(self):
        return self.out.decode().splitlines()

    @property
    def errors(self):
        return self.err.decode().splitlines()


def flamingo(
    *args, pod=None, environ=None, cwd=None, url=None, stdout=subprocess.PIPE, redirection=""
):
    """Run `flamingo args… redirection`, whose fleet is `pod`, or whatever is at `url`."""

    async def scenario():
        async with pods.running(pod or pods.FakePod()) as address:
            process = await asyncio.create_subprocess_exec(
                *["sh", "-c", f'exec "$@" {redirection}', "sh", *FLAMINGO, *args],
                env={**os.environ, "FLAMINGO_URL": url or address, **(environ or {})},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
            )
            out, err = await process.communicate()
            return Finished(process.returncode, out or b"", err)

    return asyncio.run(scenario())
