"""Compares our router with other proxies in front of pods that sleep instead of computing.

    PYTHONPATH=tests python -m bench.sleeping_pods --environment ENV

All proxies get the same arrivals at the same time, each in front of pods of its own, so whatever
else the machine does meets all of them. The pods sleep as long as the simulator's cost model says
(`bench/simulator.py`), and prefill the shortest request first, as ours do, or in order. Overload
is measured with fewer pods, because this process must send everything in time.
Environments with further proxies are those of `bench.proxies`.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from bench.flood_sim import CALM, FLOOD
from bench.flood_sim import traffic as flood
from bench.proxies import proxies
from bench.simulator import Job, Setup, jobs
from bench.sleeping_pods import tables, traffic
from bench.sleeping_pods.fleet import Fleet, fleet
from bench.sleeping_pods.pods import ORDERS

PATIENCE_S, DEADLINE_S = 60.0, 20.0
"""The deadline of requests: where their waits are measured, and in overload."""
LOADS = (0.8, 1.2, 2.0, 5.0)
CALM_PER_S, FLOODED = 0.2, 100
STAGGER_S = 0.02
"""By how much each proxy's arrivals come after another's, lest they all need the CPU at once."""
Outcome = dict[str, list[traffic.Answer]]


async def play(fleets: list[Fleet], arrivals: list[Job], deadline_s: float) -> Outcome:
    """Send the same arrivals to all fleets at once; return the answers by proxy."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        start_s = time.monotonic() + 1.0
        senders = [
            traffic.Sender(client, each.address, deadline_s, start_s + number * STAGGER_S)
            for number, each in enumerate(fleets)
        ]
        answers = await asyncio.gather(*[sender.play(arrivals) for sender in senders])
    return {each.name: answer for each, answer in zip(fleets, answers, strict=True)}


def phase(fleets: list[Fleet], what: str, arrivals: list[Job], deadline_s: float) -> Outcome:
    """Play one phase; tell what the machine and the pods did meanwhile."""
    for each in fleets:
        traffic.pods_report(each.pod)  # starts afresh
    outcome = asyncio.run(play(fleets, arrivals, deadline_s))
    lags = {each.name: traffic.pods_report(each.pod)["max_lag_s"] for each in fleets}
    told = ", ".join(f"{name} {lag_s:.2f}" for name, lag_s in lags.items())
    print(
        f"{what}: {len(arrivals)} arrivals each, load of the machine {os.getloadavg()[0]:.1f};"
        f" the pods were late by at most, s: {told}",
        file=sys.stderr,
        flush=True,
    )
    return outcome


def tail_mix(load: float, num_pods: int, seconds: float, seed: int) -> list[Job]:
    """Return the simulator's arrivals of some seconds."""
    setup = Setup(mix="tail", load=load, num_pods=num_pods, num_jobs=100_000, seed=seed)
    return [job for job in jobs(setup) if job.at_s < seconds]


def compare_waits(fleets: list[Fleet], given: argparse.Namespace) -> None:
    """Print what requests wait for their first token while the fleet is busy, not overloaded."""
    arrivals = tail_mix(LOADS[0], given.pods, given.seconds, given.seed)
    print(tables.waits(phase(fleets, "waits", arrivals, PATIENCE_S)), flush=True)


def compare_overload(fleets: list[Fleet], given: argparse.Namespace) -> None:
    """Print what is done in time in overload, and beside the flood of one key."""
    until_s, num_pods = given.overload_seconds, given.overload_pods
    by_load = {}
    for load in given.loads:
        arrivals = tail_mix(load, num_pods, until_s, given.seed)
        by_load[load] = phase(fleets, f"load {load}", arrivals, DEADLINE_S)
    print(tables.goodput(by_load) + "\n", flush=True)
    calm = flood(CALM, CALM_PER_S, until_s, given.seed)
    flooding = flood(FLOOD, CALM_PER_S * FLOODED, until_s, given.seed + 1)
    alone = phase(fleets, "alone", calm, DEADLINE_S)
    both = sorted([*calm, *flooding], key=lambda job: job.at_s)
    beside = phase(fleets, "beside a flood", both, DEADLINE_S)
    print(tables.fairness(alone, beside, until_s), flush=True)


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.sleeping_pods", description=__doc__.splitlines()[0])
    names = [proxy.name for proxy in proxies.PROXIES]
    parser.add_argument("--proxies", default=",".join(names), help="comma-separated; default: all")
    parser.add_argument("--environment", type=Path, help="whose bin folder has further proxies")
    parser.add_argument("--order", action="append", choices=ORDERS, help="default: both")
    parser.add_argument("--pods", type=int, default=8, help="behind each proxy at load 0.8")
    parser.add_argument("--overload-pods", type=int, default=2, help="behind each in overload")
    parser.add_argument("--seconds", type=float, default=120, help="of arrivals at load 0.8")
    parser.add_argument("--overload-seconds", type=float, default=60, help="of the others")
    parser.add_argument("--loads", type=float, nargs="*", default=LOADS)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


@contextlib.contextmanager
def fleets_of(order: str, num_pods: int, given: argparse.Namespace) -> Iterator[list[Fleet]]:
    """Run all proxies that are installed; yield those that serve these requests."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        print(f"\n**Pods that prefill {order}**, {num_pods} behind each proxy\n")
        able = []
        for proxy in proxies.PROXIES:
            program = proxies.find(proxy, given.environment)
            if proxy.name not in given.proxies.split(","):
                continue
            if program is None:
                print(f"{proxy.name}: {proxy.program} is not installed\n")
                continue
            started = fleet(proxy, program, order, num_pods, folder / proxy.name)
            one = stack.enter_context(started)
            if one.refusal:
                print(f"{one.name} does not serve these requests: {one.refusal}\n")
            else:
                able.append(one)
        yield able


def main(argv: list[str]) -> None:
    given = options(argv)
    orders = given.order or ORDERS
    for order in orders:
        with fleets_of(order, given.pods, given) as fleets:
            compare_waits(fleets, given)
    for order in orders:
        with fleets_of(order, given.overload_pods, given) as fleets:
            compare_overload(fleets, given)


if __name__ == "__main__":
    main(sys.argv[1:])
