"""The policies beside each other with real pods: `python tests/bench/real_pods.py`.

Starts pods with flamingo-tiny, one thread each, and a router for each policy in front of
all of them, which take their turns with the same arrivals: a Poisson process that waits
for nobody. A request's time counts from when it was due, so a slow fleet cannot thin out
its own load. Every policy gets clips of its own, equally long, so that none finds in the
pods' caches what another has left there.
"""

import argparse
import asyncio
import contextlib
import io
import os
import sys
import tempfile
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.simulator import at
from fakes import processes

POLICIES = ("round-robin", "least-connections", "least-work-left-plain", "least-work-left")
RATE, MAX_S = 16_000, 600
CLASSES = ((0.88, 1, 20), (0.09, 120, 300), (0.03, 300, MAX_S))
"""Share, and from how many seconds to how many: phrases, songs, sets."""
SHORT_S = 30
NUM_TOKENS = 16
WARM_S = 5
"""At the start of each turn, not counted: the fleet fills."""
PATIENCE_S = 90
FIGURES = ("mean", "p99", "short mean", "short p99", "long p99", "late p99")
NOISE = (np.random.default_rng(1).standard_normal(2 * RATE * MAX_S) * 3000).astype(np.int16)


@dataclass(frozen=True)
class Due:
    """A request, and when it is due."""

    at_s: float
    audio_s: float


@dataclass
class Waits:
    """What the requests to one router met."""

    first_tokens_s: list[tuple[float, float]] = field(default_factory=list)
    """Length of the clip, seconds from when the request was due."""
    late_s: list[float] = field(default_factory=list)
    """How long after it was due this process had sent it: the bench's own fault."""
    num_failed: int = 0

    def of(self, *, shortest_s=0.0, longest_s=MAX_S):
        waits = [s for audio_s, s in self.first_tokens_s if shortest_s < audio_s <= longest_s]
        return sorted(waits) or [float("nan")]


def arrivals(rate, seconds, seed):
    dice = np.random.default_rng(seed)
    due, now_s = [], dice.exponential(1 / rate)
    while now_s < seconds:
        _, least_s, most_s = CLASSES[dice.choice(len(CLASSES), p=[c[0] for c in CLASSES])]
        due.append(Due(now_s, dice.uniform(least_s, most_s)))
        now_s += dice.exponential(1 / rate)
    return due


def clip(audio_s, dice):
    """Return a WAV file that nobody has heard before."""
    num = int(audio_s * RATE)
    start, file = dice.integers(len(NOISE) - num), io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, RATE, num, "NONE", ""))
        target.writeframes(NOISE[start : start + num])
    return file.getvalue()


async def first_token_s(client, address, wav):
    """Return when the answer's first word was there, once all of it is."""
    form = aiohttp.FormData({"stream": "true", "max_tokens": str(NUM_TOKENS)})
    form.add_field("file", wav, filename="clip.wav")
    async with client.post(address + "/v1/audio/captions", data=form) as answer:
        answer.raise_for_status()
        came_s = None
        async for line in answer.content:
            if line.startswith(b"data:") and came_s is None:
                came_s = time.monotonic()
            assert b'"error"' not in line, line
        assert came_s is not None, "an answer without a word"
        return came_s


async def mean_work_s(client, address, dice):
    """Return the seconds that a request of the mix takes a pod that has nothing else to do."""
    lengths, took_s = (5, 20, 60, 240), {}
    await first_token_s(client, address, clip(5, dice))  # starts what a first request starts
    for audio_s in lengths * 4:
        wav, started_s = clip(audio_s, dice), time.monotonic()
        await first_token_s(client, address, wav)
        alone_s = time.monotonic() - started_s
        took_s[audio_s] = min(took_s.get(audio_s, alone_s), alone_s)  # the rest is the machine's
    slope, base_s = np.polyfit(lengths, [took_s[audio_s] for audio_s in lengths], 1)
    print(f"a clip takes a pod {base_s * 1000:.0f} ms and {slope * 1000:.1f} ms a second of it")
    return base_s + slope * sum(share * (low + high) / 2 for share, low, high in CLASSES)


async def turn(client, address, due, waits, dice):
    started_s = time.monotonic()

    async def one(request):
        await asyncio.sleep(started_s + request.at_s - time.monotonic())
        wav, late_s = clip(request.audio_s, dice), time.monotonic() - started_s - request.at_s
        try:
            came_s = await first_token_s(client, address, wav)
        except (aiohttp.ClientError, TimeoutError, AssertionError):
            waits.num_failed += 1
            return
        if request.at_s >= WARM_S:
            waits.first_tokens_s.append((request.audio_s, came_s - started_s - request.at_s))
            waits.late_s.append(late_s)

    await asyncio.gather(*[one(request) for request in due])


def row(waits):
    short, every = waits.of(longest_s=SHORT_S), waits.of()
    figures = (
        sum(every) / len(every),
        at(every, 0.99),
        sum(short) / len(short),
        at(short, 0.99),
        at(waits.of(shortest_s=SHORT_S), 0.99),
    )
    return [*figures, at(sorted(waits.late_s), 0.99)]


def show(all_waits):
    head = ("requests", "failed", *FIGURES)
    print(f"\n| policy | {' | '.join(head)} |\n| --- |{' ---: |' * len(head)}")
    rows = {policy: row(waits) for policy, waits in all_waits.items()}
    for policy, waits in all_waits.items():
        told = (str(len(waits.first_tokens_s)), str(waits.num_failed))
        print(f"| {policy} | " + " | ".join((*told, *(f"{s:.3f}" for s in rows[policy]))) + " |")
    for base in POLICIES[:2]:
        for policy in [policy for policy in POLICIES[2:] if base in rows and policy in rows]:
            pairs = zip(rows[policy][:-1], rows[base][:-1], strict=True)
            ratios = " | ".join(f"{ours / theirs:.2f}" for ours, theirs in pairs)
            print(f"| {policy} / {base} | | | {ratios} | |")


@contextlib.contextmanager
def fleet(num_pods, policies):
    """Yield the addresses of pods, and of a router for each policy."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def running(package, name, *flags):
            service = processes.service(package, *flags, log=folder / name)
            return stack.enter_context(service)

        tiny = ("--model", "flamingo-tiny")
        pods = [running("flamingo_pod", f"pod{n}", *tiny) for n in range(num_pods)]
        given = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        routers = {p: running("flamingo_router", p, "--policy", p, *given) for p in policies}
        for service in (*pods, *routers.values()):
            processes.wait_until_ready(service)
        yield [pod.address for pod in pods], {p: each.address for p, each in routers.items()}


async def main(asked):
    all_waits = {policy: Waits() for policy in asked.policy or POLICIES}
    dice = np.random.default_rng(asked.seed)
    limits = {"timeout": aiohttp.ClientTimeout(PATIENCE_S)}
    limits["connector"] = aiohttp.TCPConnector(limit=0)
    with fleet(asked.pods, all_waits) as (pods, routers):
        async with aiohttp.ClientSession(**limits) as client:
            alone_s = max([await mean_work_s(client, pod, dice) for pod in pods])
            rate = asked.load * min(asked.pods, os.cpu_count()) / alone_s
            print(f"{asked.pods} pods, {rate:.1f} requests a second", flush=True)
            for number in range(asked.rounds):
                due = arrivals(rate, WARM_S + asked.seconds, asked.seed + number)
                for policy, waits in all_waits.items():
                    await turn(client, routers[policy], due, waits, dice)
                    print(f"{policy}: load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    show(all_waits)


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", action="append", choices=POLICIES)
    parser.add_argument("--pods", type=int, default=2)
    parser.add_argument("--load", type=float, default=0.5, help="of what the cores can do")
    parser.add_argument("--seconds", type=float, default=25, help="of each policy's turns")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
