"""`flamingo batch` as a process, with a fake pod as its fleet."""

import asyncio
import os
import signal
import subprocess

from fakes import pods
from fakes.command_line import FLAMINGO
from fakes.holding_pod import HoldingPod
from fakes.patience import PATIENCE_S

NUM_SONGS = 12
"""Of a batch that is killed in the middle."""


async def start(*args, pod, cwd, environ=None):
    return await asyncio.create_subprocess_exec(
        *FLAMINGO,
        "batch",
        *args,
        cwd=cwd,
        env={**os.environ, "FLAMINGO_URL": pod.address, **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def end_of(process):
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


def run(*args, cwd, pod=None, environ=None):
    """Run `flamingo batch args…` to its end; return its status and what it printed."""

    async def scenario():
        served = pod or pods.FakePod()
        async with pods.running(served):
            return await end_of(await start(*args, pod=served, cwd=cwd, environ=environ))

    return asyncio.run(scenario())


def killed_and_continued(*args, cwd, signals, environ=None, pod=HoldingPod):
    """Run a batch, end it with signals while requests are in flight, and run it again.

    `pod` is the class of the pod, which answers half of the songs at first.
    """
    new_pod = pod

    async def scenario():
        pod = new_pod(num_answered=NUM_SONGS // 2)
        async with pods.running(pod):
            process = await start(*args, "-j", "4", pod=pod, cwd=cwd, environ=environ)
            await asyncio.wait_for(pod.is_holding.wait(), PATIENCE_S)
            for at, number in enumerate(signals):
                if at > 0:  # two signals at once are one
                    await asyncio.wait_for(process.stderr.readuntil(b"stopping after"), PATIENCE_S)
                process.send_signal(number)
            if signals == [signal.SIGTERM]:
                pod.may_answer.set()
            first = await end_of(process)
            pod.may_answer.set()
            again = await end_of(await start(*args, pod=pod, cwd=cwd, environ=environ))
            return first, again, len(pod.received)

    return asyncio.run(scenario())
