"""Kills, stops and restarts a fleet at random under load, and compares every answer.

    PYTHONPATH=tests python -m bench.chaos --minutes 10 --seed 1

Two routers and some pods with flamingo-tiny get a mix of requests; each is known from a quiet run
(temperature 0). A client sends to either router, and again to the other where the first was
disturbed. Exits with 1 if an answer was wrong, a request was stuck (no end within 90 s) or lost
(it failed before its first word, although a pod and a router were left alone).
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from bench.chaos import disturbances, requests, verdicts
from bench.chaos.members import Member

STUCK_S = 90.0
NUM_ITEMS = 60
MAX_IN_FLIGHT = 24
SHORT_PAUSE_S = 0.05


@dataclass
class Chaos:
    """A fleet, its load, and what became of it."""

    pods: list[Member]
    routers: list[Member]
    items: list[requests.Item]
    dice: random.Random
    client: aiohttp.ClientSession
    counts: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    disturbed: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)

    async def learn(self) -> None:
        """Ask a quiet fleet for every answer."""
        for number, item in enumerate(self.items):
            router = self.routers[number % len(self.routers)]
            got = await requests.send(self.client, router.address, item)
            assert got.value is not None, (item.kind, got)
            item.expected = got.value
            if item.kind == "chat, cancelled":
                whole = requests.Item("chat, stream", item.body, item.content_type)
                item.expected = (await requests.send(self.client, router.address, whole)).value

    async def load(self, rate: float, seconds: float) -> None:
        """Send requests as a Poisson process, then wait for those in flight."""
        stop_s = time.monotonic() + seconds
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < stop_s:
                await asyncio.sleep(self.dice.expovariate(rate))
                if len(running) < MAX_IN_FLIGHT:
                    task = group.create_task(self.ask(self.dice.choice(self.items)))
                    running.add(task)
                    task.add_done_callback(running.discard)

    async def ask(self, item: requests.Item) -> None:
        """Send an item until there is a verdict, and count that."""
        since_s = time.monotonic()
        tried: list[str] = []
        try:
            async with asyncio.timeout(STUCK_S):
                verdict = await self._until_verdict(item, tried)
        except TimeoutError:
            verdict = verdicts.Verdict(verdicts.STUCK)
        self.counts[verdict.name] += 1
        self.by_kind[item.kind] += 1
        if verdict.name in verdicts.FAILURES:
            at_s = since_s - self.started_s
            self.examples.append(
                f"{verdict.name}: {verdict.why}; {item.kind} sent at {at_s:.1f} s,"
                f" took {time.monotonic() - since_s:.1f} s, tries: {tried}"
            )
            print(self.examples[-1], flush=True)

    async def _until_verdict(self, item, tried):
        first = self.dice.randrange(len(self.routers))
        for number in range(first, first + 10_000):
            router, since_s = self.routers[number % len(self.routers)], time.monotonic()
            got = await requests.send(self.client, router.address, item)
            was_disturbed = router.was_disturbed(since_s)
            verdict = verdicts.judge(item, got, router_was_disturbed=was_disturbed)
            tried.append(f"{router.name} {got.status} {got.code} {verdict.name}")
            if verdict.name not in (verdicts.REFUSED, verdicts.AGAIN):
                return verdict
            self.counts[f"{verdict.name} by a router"] += 1
            if verdict.name == verdicts.REFUSED:
                self.refusals[verdict.why] += 1
            pause_s = got.retry_after_s if verdict.name == verdicts.REFUSED else SHORT_PAUSE_S
            await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    async def disturb(self, seconds: float) -> None:
        """Disturb processes at random; return when all are ready again."""
        stop_s = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < stop_s:
                await asyncio.sleep(self.dice.expovariate(1 / disturbances.MEAN_PAUSE_S))
                pods, routers = disturbances.victims(
                    [each.is_disturbed for each in self.pods],
                    [each.is_disturbed for each in self.routers],
                )
                is_router = self.dice.random() < disturbances.ROUTER_SHARE
                group_of, numbers = (self.routers, routers) if is_router else (self.pods, pods)
                if numbers:
                    member = group_of[self.dice.choice(numbers)]
                    chosen = disturbances.choose(self.dice, is_router=is_router)
                    self.disturbed[f"{member.package} {chosen.how}"] += 1
                    at_s = time.monotonic() - self.started_s
                    print(f"{at_s:6.1f} s: {member.name} {chosen}", file=sys.stderr, flush=True)
                    group.create_task(getattr(member, chosen.how)(chosen.pause_s))

    async def run(self, rate: float, seconds: float) -> None:
        """Disturb the fleet under load, then ask for every answer once more."""
        await self.learn()
        self.started_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.load(rate, seconds))
            group.create_task(self.disturb(seconds))
        await asyncio.gather(*map(self.ask, self.items))

    def report(self) -> bool:
        """Print what happened; return whether nothing did that must not."""
        members = [*self.pods, *self.routers]
        disturbed = ", ".join(f"{number} of {what}" for what, number in self.disturbed.items())
        print(f"\n{sum(self.disturbed.values())} disturbances: {disturbed or 'none'}")
        kinds = ", ".join(f"{number} of {kind}" for kind, number in self.by_kind.items())
        print(f"{sum(self.by_kind.values())} requests: {kinds}")
        for name, number in sorted(self.counts.items()):
            print(f"  {name}: {number}")
        print(f"refusals by code: {dict(self.refusals) or 'none'}")
        faults = [f"{each.name}: {fault}" for each in members for fault in each.faults]
        faults += [f"{m.name}: traceback: {text}" for m in members for text in m.tracebacks()]
        print("\n".join(["faults of processes:", *faults]) if faults else "faults: none")
        print(f"load of the machine: {os.getloadavg()[0]:.1f}")
        failures = ", ".join(f"{self.counts[name]} {name}" for name in verdicts.FAILURES)
        print(f"result: {failures}")
        return not faults and not any(self.counts[name] for name in verdicts.FAILURES)


async def main(given: argparse.Namespace) -> bool:
    dice = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = given.logs or Path(name)
        tiny = ("--model", "flamingo-tiny")
        pods = [Member(f"pod-{n}", "flamingo_pod", folder, tiny) for n in range(given.pods)]
        for pod in pods:
            pod.start()
        flags = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        routers = [Member(f"router-{n}", "flamingo_router", folder, flags) for n in range(2)]
        try:
            for router in routers:
                router.start()
            for member in (*pods, *routers):
                await member.until_ready()
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            timeout = aiohttp.ClientTimeout(None)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
                items = requests.items(dice, NUM_ITEMS)
                chaos = Chaos(pods, routers, items, dice, client)
                await chaos.run(given.rate, given.minutes * 60)
            return chaos.report()
        finally:
            for member in (*pods, *routers):
                member.end()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=3.0, help="requests per second")
    parser.add_argument("--pods", type=int, default=3)
    parser.add_argument("--logs", type=Path, help="folder that keeps the logs")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(0 if asyncio.run(main(options())) else 1)
