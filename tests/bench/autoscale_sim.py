"""Simulate mixed music on a fleet that is scaled by different rules.

    python tests/bench/autoscale_sim.py --seeds 12

Clips wait in one queue; a pod answers one at a time, in 0.8 s and a second for each 12 s
of audio; a new pod takes 180 s to be ready. For half an hour each, clips of 5-30 s,
songs of about 220 s, and a mix with sets of 15-20 min arrive, for three hours.
It is a model: it compares rules and does not predict a real fleet.
"""

import argparse
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from statistics import mean

from flamingo_operator.api.scaling import Scaling
from flamingo_operator.scaling.autoscale import (
    AutoscalerState,
    PodCounts,
    ScalingInputs,
    scaling_decision,
)
from flamingo_operator.scaling.capacity import MeasuredThroughput, pod_rate
from flamingo_operator.scaling.demand import AudioDemand, DemandReport, fleet_demand
from flamingo_operator.scaling.schedule import replica_limits

AUDIO_S_PER_S, OVERHEAD_S = 12.0, 0.8
COLD_START_S, TICK_S, HOURS = 180.0, 10.0, 3
MIN_PODS, MAX_PODS = 1, 12
ACCEPTABLE_WAIT_S = 30.0


def compute_s(audio_s: float) -> float:
    return OVERHEAD_S + audio_s / AUDIO_S_PER_S


def trace(seed: int) -> Iterator[tuple[float, float]]:
    """Yield when each clip arrives, and how long it is."""
    rng, now_s = random.Random(seed), 0.0
    while True:
        phase = int(now_s // 1800) % 3
        now_s += rng.expovariate((0.60, 0.11, 0.22)[phase])
        if now_s >= HOURS * 3600:
            return
        clip, song = rng.uniform(5, 30), rng.gauss(220, 50)
        mixed = rng.choice([clip] * 12 + [song] * 6 + [rng.uniform(900, 1200)])
        yield now_s, max(3.0, (clip, song, mixed)[phase])


@dataclass
class Fleet:
    """The pods and the queue, and what a rule may observe of them."""

    now_s: float = 0.0
    num_ready: int = MIN_PODS
    num_starting: int = 0
    draining: set[int] = field(default_factory=set)
    idle: list[int] = field(default_factory=lambda: list(range(MIN_PODS)))
    busy: dict[int, tuple[float, float]] = field(default_factory=dict)
    """When each busy pod started its clip, and the audio in it."""
    queue: deque[tuple[float, float]] = field(default_factory=deque)
    arrived: deque[tuple[float, float]] = field(default_factory=deque)
    measured: MeasuredThroughput = field(default_factory=MeasuredThroughput)

    @property
    def current(self) -> int:
        return self.num_ready - len(self.draining) + self.num_starting

    @property
    def num_in_flight(self) -> int:
        return len(self.queue) + len(self.busy)

    def arriving_audio_s_per_s(self, window_s: float) -> float:
        since_s = self.now_s - window_s
        return sum(audio_s for at_s, audio_s in self.arrived if at_s > since_s) / window_s

    def report(self) -> DemandReport:
        left = {
            str(pod): max(0.0, started_s + compute_s(audio_s) - self.now_s)
            for pod, (started_s, audio_s) in self.busy.items()
        }
        return DemandReport(
            received_s=self.now_s,
            arriving=AudioDemand(self.arriving_audio_s_per_s(300)),
            burst=AudioDemand(self.arriving_audio_s_per_s(60)),
            queued=AudioDemand(sum(audio_s for _, audio_s in self.queue)),
            has_requests=bool(self.arrived or self.queue),
            backlogs_s=left,
        )


Rule = Callable[[Fleet], int]


def by_requests(target: float) -> Rule:
    """Requests in flight over a target, as an HPA: tolerance, and the maximum of five minutes."""
    earlier: deque[tuple[float, int]] = deque()

    def rule(fleet: Fleet) -> int:
        exact = fleet.num_in_flight / target
        is_near = abs(exact - fleet.current) <= 0.1 * fleet.current
        wanted = fleet.current if is_near else min(MAX_PODS, max(MIN_PODS, ceil(exact)))
        earlier.append((fleet.now_s, wanted))
        while earlier[0][0] < fleet.now_s - 300:
            earlier.popleft()
        return max(wanted, min(fleet.current, max(one for _, one in earlier)))

    return rule


def by_audio(utilization_percent: int, wait_s: int = 60, reserve: int | str = 0) -> Rule:
    """The operator's rule: arriving and queued audio over measured capacity."""
    scaling = Scaling.model_validate(
        {
            "mode": "Internal",
            "minReplicas": MIN_PODS,
            "maxReplicas": MAX_PODS,
            "reserve": reserve,
            "objective": {"utilizationPercent": utilization_percent, "queueWaitSeconds": wait_s},
        }
    )
    state = AutoscalerState(desired=MIN_PODS)

    def rule(fleet: Fleet) -> int:
        nonlocal state
        inputs = ScalingInputs(
            now_s=fleet.now_s,
            demand=fleet_demand({"router": fleet.report()}, num_routers=1, now_s=fleet.now_s),
            pods=PodCounts(fleet.num_ready - len(fleet.draining), len(fleet.draining)),
            audio_s_per_s=pod_rate(fleet.measured, prior=AUDIO_S_PER_S),
        )
        limits = replica_limits(scaling, (), now_s=fleet.now_s)
        decision = scaling_decision(scaling, limits, inputs, state)
        state = decision.state
        return decision.replicas

    return rule


@dataclass(frozen=True)
class Outcome:
    """The cost of a rule and its waiting times."""

    gpu_hours: float
    waits_s: list[float]
    num_changes: int

    @property
    def in_time(self) -> float:
        return sum(wait_s <= ACCEPTABLE_WAIT_S for wait_s in self.waits_s) / len(self.waits_s)

    @property
    def p95_s(self) -> float:
        return sorted(self.waits_s)[int(0.95 * (len(self.waits_s) - 1))]


class Simulation:
    """A run of one trace under one rule."""

    def __init__(self, clips: Sequence[tuple[float, float]], rule: Rule) -> None:
        self.fleet, self.rule = Fleet(), rule
        self.order = count()
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.waits_s: list[float] = []
        self.gpu_s, self.num_changes = 0.0, 0
        self.pods = count(MIN_PODS)
        for at_s, audio_s in clips:
            self._at(at_s, lambda audio_s=audio_s: self._arrive(audio_s))
        self._at(TICK_S, self._tick)

    def run(self) -> Outcome:
        fleet = self.fleet
        while self.events:
            at_s, _, event = heapq.heappop(self.events)
            self.gpu_s += (fleet.num_ready + fleet.num_starting) * (at_s - fleet.now_s)
            fleet.now_s = at_s
            event()
        return Outcome(self.gpu_s / 3600, self.waits_s, self.num_changes)

    def _at(self, at_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (at_s, next(self.order), event))

    def _arrive(self, audio_s: float) -> None:
        self.fleet.queue.append((self.fleet.now_s, audio_s))
        self.fleet.arrived.append((self.fleet.now_s, audio_s))
        self._assign()

    def _assign(self) -> None:
        fleet = self.fleet
        while fleet.queue and fleet.idle:
            arrived_s, audio_s = fleet.queue.popleft()
            pod = fleet.idle.pop()
            self.waits_s.append(fleet.now_s - arrived_s)
            fleet.busy[pod] = (fleet.now_s, audio_s)
            self._at(fleet.now_s + compute_s(audio_s), lambda pod=pod: self._finish(pod))

    def _finish(self, pod: int) -> None:
        fleet = self.fleet
        _, audio_s = fleet.busy.pop(pod)
        measured = fleet.measured
        fleet.measured = MeasuredThroughput(
            measured.audio_s + audio_s, measured.compute_s + compute_s(audio_s)
        )
        if pod in fleet.draining:
            fleet.draining.remove(pod)
            fleet.num_ready -= 1
            return
        fleet.idle.append(pod)
        self._assign()

    def _start(self) -> None:
        self.fleet.num_starting -= 1
        self.fleet.num_ready += 1
        self.fleet.idle.append(next(self.pods))
        self._assign()

    def _tick(self) -> None:
        fleet = self.fleet
        if fleet.now_s < HOURS * 3600 or fleet.num_in_flight:
            self._at(fleet.now_s + TICK_S, self._tick)
        while fleet.arrived and fleet.arrived[0][0] < fleet.now_s - 600:
            fleet.arrived.popleft()
        more = self.rule(fleet) - fleet.current
        self.num_changes += more != 0
        for _ in range(more):
            fleet.num_starting += 1
            self._at(fleet.now_s + COLD_START_S, self._start)
        for _ in range(-more):
            self._remove()

    def _remove(self) -> None:
        fleet = self.fleet
        removable = [pod for pod in fleet.busy if pod not in fleet.draining]
        if fleet.idle:
            fleet.idle.pop()
            fleet.num_ready -= 1
        elif len(removable) > MIN_PODS:
            fleet.draining.add(removable[0])


def compare(rules: dict[str, Callable[[], Rule]], num_seeds: int) -> Iterator[tuple[str, str]]:
    """Yield each rule's name and its row."""
    traces = [list(trace(seed)) for seed in range(num_seeds)]
    for name, make in rules.items():
        outcomes = [Simulation(clips, make()).run() for clips in traces]
        figures = (
            f"{mean(one.gpu_hours for one in outcomes):.1f}",
            f"{mean(one.in_time for one in outcomes):.1%}",
            f"{mean(one.p95_s for one in outcomes):.0f}",
            f"{mean(one.num_changes for one in outcomes):.0f}",
        )
        yield name, " | ".join(figures)


RULES: dict[str, Callable[[], Rule]] = {
    **{
        f"requests in flight / {target:g}": lambda target=target: by_requests(target)
        for target in (1, 1.5, 2, 3)
    },
    **{
        f"audio, {percent} % used, wait {wait_s} s": (
            lambda percent=percent, wait_s=wait_s: by_audio(percent, wait_s)
        )
        for percent, wait_s in ((90, 60), (75, 60), (60, 60), (45, 60), (75, 30), (60, 30))
    },
    **{
        f"audio, {percent} % used, {reserve} in reserve": (
            lambda percent=percent, reserve=reserve: by_audio(percent, 60, reserve)
        )
        for percent, reserve in ((90, 1), (90, 2), (75, 1), (75, 2), (75, "25%"), (75, "50%"))
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    options = parser.parse_args()
    print("| rule | GPU-hours | within 30 s | wait p95 s | changes |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, row in compare(RULES, options.seeds):
        print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
