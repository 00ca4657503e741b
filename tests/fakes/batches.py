"""A task whose requests are answered here, and what a run of it yields."""

import asyncio
import collections
import contextlib
import json

from fakes.patience import PATIENCE_S

from flamingo.batch.items import Item
from flamingo.batch.outcomes import ItemResult
from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo.batch.recorder import Recording
from flamingo.batch.run import BatchRun, RunOptions
from flamingo.batch.task import Task
from flamingo.client.batch_verdicts import judge


class Items:
    """A source of entries in memory."""

    def __init__(self, *entries, fingerprint="items"):
        self.entries = [Item(one, one) if isinstance(one, str) else one for one in entries]
        self._fingerprint = fingerprint

    def items(self):
        return iter(self.entries)

    def fingerprint(self):
        return self._fingerprint

    def audio(self, item):
        return item.location


class Fleet:
    """Answers requests: with the key, or with the next of the errors that the key is to have."""

    def __init__(self, **errors):
        self.errors = {key: collections.deque(some) for key, some in errors.items()}
        self.sent = []
        self.num_in_flight = self.max_in_flight = 0
        self.release = None
        """Set by a test that wants requests to wait."""
        self.immediate = ()
        """Keys that do not wait."""

    async def until(self, holds):
        """Wait until `holds()` is true."""
        while not holds():  # noqa: ASYNC110 - the loop's other tasks make it true
            await asyncio.sleep(0)

    async def send(self, item, audio):
        self.sent.append(item.key)
        self.num_in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.num_in_flight)
        try:
            is_held = self.release is not None and item.key not in self.immediate
            await (self.release.wait() if is_held else asyncio.sleep(0))
            if self.errors.get(item.key):
                raise self.errors[item.key].popleft()
        finally:
            self.num_in_flight -= 1
        return item.key


class Clock:
    """Time that passes when someone sleeps."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    async def sleep(self, delay_s):
        self.now_s += delay_s
        await asyncio.sleep(0)


def recorded_in(folder, **options):
    path = folder / "out.jsonl"
    return Recording(JsonlOutput(path), folder / "out.jsonl.state", **options)


def new_run(source, fleet, recording=None, options=None, **run_options):
    clock = Clock()
    task = Task("caption", options or {}, fleet.send, lambda key: ItemResult(caption=key), judge)
    run_options = {"record_after_s": 0, "clock": clock, "sleep": clock.sleep} | run_options
    return BatchRun(source, task, recording=recording, options=RunOptions(**run_options))


def results(source, fleet, recording=None, **options):
    """Run a batch to its end; return key and value of each outcome."""
    run = new_run(source, fleet, recording, **options)

    async def scenario():
        async with contextlib.aclosing(run.done()) as done:
            return [(outcome.key, value) async for outcome, value in done]

    return asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def lines(folder):
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
