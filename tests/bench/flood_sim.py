"""One tenant floods, another asks now and then: `python tests/bench/flood_sim.py`.

Prints what the second one gets: alone, and beside a flood of so many times its requests.
"""

import random
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.simulator import Job, Setup, World

from flamingo_common.wire.priority import Priority

FLOOD, CALM = "flood", "calm"
LIMITS = {
    "max_backlog_s": 120.0,
    "max_queued": 1000,
    "max_queued_audio_s": 36_000.0,
    "max_wait_s": 60.0,
    "assumed_deadline_s": 60.0,
}
AUDIO_S = (10.0, 60.0)
AGEING_S = 5.0
"""The engine's."""


@dataclass(frozen=True)
class Served:
    """What one tenant got."""

    p50_s: float
    """Median time to the first token."""
    done_p50_s: float
    """Median time to the last one."""
    num_refused: int
    num: int


def traffic(
    tenant: str, per_s: float, until_s: float, seed: int, priority: Priority = Priority.NORMAL
) -> list[Job]:
    """Return the requests of one tenant: Poisson arrivals of clips of up to a minute."""
    rng, at_s, made = random.Random(seed), 0.0, []
    while (at_s := at_s + rng.expovariate(per_s)) < until_s:
        audio_s = rng.uniform(*AUDIO_S)
        clip = f"{tenant}-{at_s}"
        made.append(Job(at_s, audio_s, 100, clip, audio_s, tenant, priority))
    return made


def serve(jobs: list[Job], *, num_pods: int = 2) -> World:
    """Run the router's own balancer with pods that prefill the shortest request first."""
    setup = Setup(
        num_pods=num_pods,
        queue_threshold_s=30.0,
        shortest_first=True,
        ageing_s=AGEING_S,
        limits=LIMITS,
    )
    world = World(setup)
    (router,) = world.routers
    for pod in world.pods.values():
        world.after(0.0, router.poll, pod)
    for job in jobs:
        world.after(job.at_s, router.admit, job)
    world.run(len(jobs))
    return world


def of(world: World, tenant: str, since_s: float, priority: Priority = Priority.NORMAL) -> Served:
    """Return what the requests of a tenant got after the beginning."""
    done, refused = (
        [
            each
            for each in some
            if (each.tenant, each.priority) == (tenant, priority) and each.at_s > since_s
        ]
        for some in (world.done, world.failed)
    )
    first_s, last_s = (
        statistics.median(getattr(each, name) - each.at_s for each in done)
        for name in ("first_token_s", "done_s")
    )
    return Served(first_s, last_s, len(refused), len(done) + len(refused))


def main() -> None:
    """Print the table."""
    until_s, since_s = 300.0, 40.0
    calm = traffic(CALM, 0.5, until_s, 1)
    alone = of(serve(calm), CALM, since_s)
    print(f"alone: p50 {alone.p50_s:.2f} s, {alone.done_p50_s:.2f} s to the last token")
    for times in (20, 50, 100):
        calm = traffic(CALM, 0.5, until_s, 1)
        world = serve([*calm, *traffic(FLOOD, 0.5 * times, until_s, 2)])
        beside, flood = of(world, CALM, since_s), of(world, FLOOD, since_s)
        rate = (flood.num - flood.num_refused) / (until_s - since_s)
        print(
            f"beside {times} times as many: p50 {beside.p50_s:.2f} s, {beside.done_p50_s:.2f} s to"
            f" the last token ({beside.done_p50_s / alone.done_p50_s:.2f} times),"
            f" {beside.num_refused} of {beside.num} refused; the flood: p50 {flood.p50_s:.1f} s,"
            f" {flood.num_refused} of {flood.num} refused, {rate:.1f} answered per s"
        )
    calm = traffic(CALM, 0.5, until_s, 1)
    batch = traffic(CALM, 50, until_s, 2, Priority.LOW)
    world = serve([*calm, *batch])
    beside, low = of(world, CALM, since_s), of(world, CALM, since_s, Priority.LOW)
    rate = (low.num - low.num_refused) / (until_s - since_s)
    print(
        f"beside its own batch of low priority: p50 {beside.p50_s:.2f} s,"
        f" {beside.done_p50_s:.2f} s to the last token"
        f" ({beside.done_p50_s / alone.done_p50_s:.2f} times), {beside.num_refused} of"
        f" {beside.num} refused; the batch: {rate:.1f} answered per s"
    )


if __name__ == "__main__":
    main()
