"""A program that uses the client, as a process of its own, with a fake pod as its fleet."""

import asyncio
import os
import sys
import textwrap

from fakes import pods

PRELUDE = """
import asyncio, multiprocessing, os, signal, sys, threading
from flamingo import AsyncFlamingoClient, FlamingoClient

AUDIO = b"RIFF....WAVE, let us say"
signal.alarm(60)

def status_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def in_child(function):
    if (child := os.fork()) == 0:
        signal.alarm(20)
        function()
        sys.exit()
    return child
"""


def run(program, pod):
    """Return (status, output, errors) of a program whose fleet is `pod`."""

    async def scenario():
        async with pods.running(pod) as address:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                PRELUDE + textwrap.dedent(program),
                env={**os.environ, "FLAMINGO_URL": address},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            return process.returncode, out.decode().split("\n")[:-1], err.decode()

    return asyncio.run(scenario())
