"""Simulates a fleet under traffic, with a virtual clock and the router's own `Balancer`.

Pods are simulated: one lane that prefills, first come first served, and a batch that decodes
beside it. Routers know of them what real ones know: load reports a few times a second, and
their own requests. Several routers share no state.
"""

import bisect
import heapq
import itertools
import math
import random
import statistics
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fakes.balancing import admission_limits

from flamingo_common.errors import FlamingoError, Unavailable
from flamingo_common.wire.priority import Priority
from flamingo_common.wire.report import MAX_TIMINGS, LoadReport, LowLoadReport, RequestTiming
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.fair_queue import QueuedRequest
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.policy import POLICIES
from flamingo_router.balancing.request_info import RequestInfo

ROUTE = "/v1/audio/captions"
SHORT_S = 30.0
PREFILL_BASE_S, PREFILL_PER_S = 0.05, 0.005
TOKEN_S = 0.010
CROWDED = 0.04
"""How much longer a step takes for each further sequence in the batch."""
PREFILL_SHARE = 0.7
"""The share of the GPU that a prefill gets while others decode."""
MAX_BATCH = 32
CHUNK_S = 0.15
"""The prefill of one window, after which another request may be shorter."""
HIT_SHARE = 0.03
CACHED_CLIPS = 40
POLL_S = 0.25
RESTART_S = 20.0
MIXES = {
    "tail": ((0.88, 1, 20), (0.09, 120, 300), (0.03, 600, 1200)),
    "songs": ((0.55, 1, 20), (0.35, 120, 300), (0.10, 600, 1200)),
    "clips": ((1.0, 1, 30),),
}


@dataclass(frozen=True)
class Setup:
    """What is simulated."""

    policy: str = "least-work-left"
    mix: str = "tail"
    load: float = 0.8
    num_pods: int = 8
    num_routers: int = 1
    num_jobs: int = 20_000
    repeats: float = 0.0
    """The share of clips that were sent before."""
    error: float = 0.0
    """The error of the routers' estimate: the standard deviation of the length's logarithm."""
    slow_pods: int = 0
    """How many take three times as long."""
    deaths_per_s: float = 0.0
    queue_threshold_s: float = 0.5
    shortest_first: bool = False
    """Whether pods prefill the shortest request first, a window at a time, as ours do, instead of
    first come first served."""
    ageing_s: float = math.inf
    """Having waited this long, a prompt counts as half as long at such a pod."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Limits of admission other than none."""
    deadline_s: float | None = None
    """How long after its arrival each request must be done."""
    seed: int = 1


@dataclass(slots=True, eq=False)
class Job:
    at_s: float
    audio_s: float
    num_tokens: int
    clip: str
    estimated_s: float
    tenant: str = ""
    priority: Priority = Priority.NORMAL
    first_token_s: float = math.nan
    attempts: set[str] = field(default_factory=set)
    router: "Router | None" = None
    ticket: object = None
    info: RequestInfo | None = None
    computed: tuple[int, float] = (0, 0.0)
    taken_s: float = math.nan
    """When it arrived at the pod."""
    done_s: float = math.nan
    refusal: FlamingoError | None = None
    left_s: float | None = None
    """What is left of its prefill, once it has begun."""


@dataclass(eq=False)
class Pod:
    world: "World"
    address: str
    slowdown: float
    epoch: int = 0
    waiting: list[Job] = field(default_factory=list)
    prefilling: Job | None = None
    decoding: set[Job] = field(default_factory=set)
    cached: OrderedDict[str, None] = field(default_factory=OrderedDict)
    timings: list[RequestTiming] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=itertools.count)
    sequence: int = 0
    prefill_until_s: float = 0.0
    is_dead: bool = False

    def take(self, job):
        job.taken_s = self.world.now_s
        self.waiting.append(job)
        self._advance()

    def _advance(self):
        if self.prefilling or not self.waiting:
            return
        if self.world.shortest_first:
            self.waiting.sort(key=self._rank)
        # A live request takes the place of one of low priority, which is computed again: left out.
        is_low = self.waiting[0].priority.is_low or not self.world.shortest_first
        if sum(is_low or not each.priority.is_low for each in self.decoding) >= MAX_BATCH:
            return
        job = self.prefilling = self.waiting.pop(0)
        if job.left_s is None:
            is_hit = job.clip in self.cached
            job.left_s = self._left_s(job)
            job.computed = (0 if is_hit else math.ceil(job.audio_s / 30), job.left_s)
        seconds = min(job.left_s, CHUNK_S) if self.world.shortest_first else job.left_s
        job.left_s -= seconds
        if self.decoding:
            seconds /= PREFILL_SHARE
        self.prefill_until_s = self.world.now_s + seconds
        self.world.after(seconds, self._prefilled, job, self.epoch)

    def _prefilled(self, job, epoch):
        if epoch != self.epoch:
            return
        self.prefilling = None
        if job.left_s > 0:
            self.waiting.append(job)
            self._advance()
            return
        self.cached[job.clip] = None
        self.cached.move_to_end(job.clip)
        if len(self.cached) > CACHED_CLIPS:
            self.cached.popitem(last=False)
        job.first_token_s = self.world.now_s
        job.router.answered(job)
        self.decoding.add(job)
        step_s = TOKEN_S * self.slowdown * (1 + CROWDED * (len(self.decoding) - 1))
        windows, prefill_s = job.computed
        share_s = job.num_tokens * step_s / len(self.decoding)
        job.computed = windows, prefill_s + share_s
        self.world.after(job.num_tokens * step_s, self._decoded, job, epoch)
        self._advance()

    def _decoded(self, job, epoch):
        if epoch != self.epoch:
            return
        self.decoding.remove(job)
        windows, seconds = job.computed
        self.timings.append(
            RequestTiming.model_construct(
                number=next(self.numbers),
                route=ROUTE,
                num_windows=windows,
                num_tokens=job.num_tokens,
                compute_s=seconds,
            )
        )
        del self.timings[:-MAX_TIMINGS]
        job.router.settled(job)
        self._advance()

    def die(self):
        lost = [*self.waiting, *self.decoding, *([self.prefilling] if self.prefilling else [])]
        self.epoch += 1
        self.waiting, self.decoding, self.prefilling = [], set(), None
        self.cached.clear()
        self.timings.clear()
        self.is_dead = True
        for job in lost:
            job.router.lost(job)
        self.world.after(RESTART_S, self._restart)

    def _restart(self):
        self.is_dead = False

    def report(self):
        self.sequence += 1
        now_s = self.world.now_s
        queued_s = sum(self._left_s(job) for job in self.waiting)
        if self.prefilling:
            queued_s += self.prefill_until_s - now_s + (self.prefilling.left_s or 0.0)
        left = sum(job.num_tokens for job in (*self.waiting, *self.decoding)) / 2
        low = [job for job in self.waiting if job.priority.is_low]
        low_queued_s = sum(self._left_s(job) for job in low)
        low_left = sum(j.num_tokens for j in (*low, *self.decoding) if j.priority.is_low) / 2
        token_s = TOKEN_S * self.slowdown / max(len(self.decoding), 1)
        return LoadReport.model_construct(
            model="m",
            state="ready",
            epoch=str(self.epoch),
            sequence=self.sequence,
            backlog_s=queued_s + left * token_s,
            low=LowLoadReport.model_construct(
                backlog_s=low_queued_s + low_left * token_s,
                queued_s=low_queued_s,
                num_running=sum(job.priority.is_low for job in self.decoding),
                num_waiting=len(low),
            ),
            queued_s=queued_s,
            num_running=len(self.decoding) + bool(self.prefilling),
            num_waiting=len(self.waiting),
            window_s=None,
            token_s=None,
            num_kv_tokens=None,
            num_kv_tokens_used=None,
            clips=list(self.cached),
            timings=list(self.timings),
        )

    def _rank(self, job):
        """Live work first, as in ours; the share of low priority is left out."""
        return job.priority.is_low, self._aged_s(job)

    def _aged_s(self, job):
        return self._left_s(job) / (1 + (self.world.now_s - job.taken_s) / self.world.ageing_s)

    def _left_s(self, job):
        if job.left_s is not None:
            return job.left_s
        share = HIT_SHARE if job.clip in self.cached else 1
        return (PREFILL_BASE_S + PREFILL_PER_S * job.audio_s * share) * self.slowdown


class Router:
    """The balancer, driven by events instead of sockets."""

    def __init__(self, world, setup, number):
        self.world = world
        self.deadline_s = setup.deadline_s
        unlimited = {
            "max_backlog_s": math.inf,
            "queue_threshold_s": setup.queue_threshold_s,
            "max_queued": 10**9,
            "max_queued_audio_s": math.inf,
            "max_wait_s": math.inf,
        }
        limits = admission_limits(**(unlimited | setup.limits))
        fleet = Fleet(stale_after_s=1.0, unreachable_after_s=10.0)
        policy = POLICIES[setup.policy]()
        rng = random.Random(setup.seed * 1000 + number)
        self.balancer = Balancer(fleet, policy, limits, rng, now_s=0.0)
        self.balancer.set_members(dict.fromkeys(world.pods, True))
        self.jobs: dict[QueuedRequest, Job] = {}
        self.is_awake = False

    def admit(self, job):
        job.router = self
        deadline_s = None if self.deadline_s is None else job.at_s + self.deadline_s
        job.info = RequestInfo(
            ROUTE,
            job.estimated_s,
            job.clip,
            tenant=job.tenant,
            priority=job.priority,
            deadline_s=deadline_s,
        )
        try:
            admitted = self.balancer.admit(job.info, now_s=self.world.now_s)
        except FlamingoError as error:
            job.refusal = error
            self.world.failed.append(job)
            return
        if isinstance(admitted, QueuedRequest):
            self.jobs[admitted] = job
            self.dispatch_waiting(None)
        else:
            self._send(job, admitted)

    def dispatch_waiting(self, among):
        now_s = self.world.now_s
        for waiting, ticket in self.balancer.dispatch_waiting(now_s=now_s, among=among):
            self._send(self.jobs.pop(waiting), ticket)
        if self.balancer.queue and not self.is_awake:
            self.is_awake = True
            self.world.after(self.balancer.recheck_after_s(now_s=now_s), self._wake)

    def _wake(self):
        self.is_awake = False
        self.dispatch_waiting(None)

    def _send(self, job, ticket):
        job.ticket = ticket
        self.balancer.fleet.mark_sent(ticket, now_s=self.world.now_s)
        pod = self.world.pods[ticket.address]
        if pod.is_dead:
            self.balancer.fleet.mark_stale(ticket.address, now_s=self.world.now_s)
            self.lost(job)
        else:
            pod.take(job)

    def answered(self, job):
        self.balancer.fleet.mark_responding(job.ticket, now_s=self.world.now_s)
        self.dispatch_waiting((job.ticket.address,))

    def settled(self, job):
        self.balancer.settle(job.ticket, now_s=self.world.now_s)
        job.done_s = self.world.now_s
        self.world.done.append(job)
        self.dispatch_waiting((job.ticket.address,))

    def lost(self, job):
        job.attempts.add(job.ticket.address)
        self.balancer.settle(job.ticket, now_s=self.world.now_s)
        try:
            ticket = self.balancer.reassign(job.info, without=job.attempts, now_s=self.world.now_s)
        except Unavailable:
            self.world.failed.append(job)
        else:
            self._send(job, ticket)

    def poll(self, pod):
        if not pod.is_dead:
            now_s = self.world.now_s
            self.balancer.observe(pod.address, pod.report(), requested_s=now_s, now_s=now_s)
            self.dispatch_waiting((pod.address,))
        self.world.after(POLL_S, self.poll, pod)


class World:
    """The clock and the events."""

    def __init__(self, setup: Setup) -> None:
        self.now_s = 0.0
        self.shortest_first, self.ageing_s = setup.shortest_first, setup.ageing_s
        self.done: list[Job] = []
        self.failed: list[Job] = []
        self._events: list[tuple[float, int, Callable, tuple]] = []
        self._numbers = itertools.count()
        self.pods = {}
        for number in range(setup.num_pods):
            slowdown = 3.0 if number < setup.slow_pods else 1.0
            self.pods[f"pod-{number:04}"] = Pod(self, f"pod-{number:04}", slowdown)
        self.routers = [Router(self, setup, number) for number in range(setup.num_routers)]

    def after(self, seconds, call, *args):
        heapq.heappush(self._events, (self.now_s + seconds, next(self._numbers), call, args))

    def run(self, num_jobs):
        while len(self.done) + len(self.failed) < num_jobs:
            self.now_s, _, call, args = heapq.heappop(self._events)
            call(*args)


def jobs(setup: Setup) -> list[Job]:
    """Return the traffic: Poisson arrivals at `load` of what the pods can prefill."""
    rng = random.Random(setup.seed)
    mix = MIXES[setup.mix]
    shares = list(itertools.accumulate(share for share, *_ in mix))
    mean_s = sum(share * (low + high) / 2 for share, low, high in mix)
    prefill_s = (PREFILL_BASE_S + PREFILL_PER_S * mean_s) / PREFILL_SHARE
    per_s = setup.load * (setup.num_pods - 2 / 3 * setup.slow_pods) / prefill_s
    at_s, recent, made = 1.0, [], []
    for number in range(setup.num_jobs):
        at_s += rng.expovariate(per_s)
        if recent and rng.random() < setup.repeats:
            clip, audio_s = rng.choice(recent)
        else:
            _, low, high = mix[bisect.bisect(shares, rng.random() * shares[-1] * 0.999999)]
            clip, audio_s = f"clip-{number}", rng.uniform(low, high)
            recent = [*recent[-49:], (clip, audio_s)]
        estimated_s = audio_s * math.exp(rng.gauss(0, setup.error)) if setup.error else audio_s
        tokens = min(int(rng.lognormvariate(5.0, 0.6)) + 1, 1000)
        made.append(Job(at_s, audio_s, tokens, clip, min(estimated_s, 1200.0)))
    return made


@dataclass(frozen=True)
class Outcome:
    """Seconds to the first token."""

    mean_s: float
    p99_s: float
    short_mean_s: float
    short_p99_s: float
    long_p99_s: float
    num_failed: int
    first_tokens_s: list[float]


def simulate(setup: Setup) -> Outcome:
    """Return the latencies of a fleet's clients; the first tenth of the jobs is not counted."""
    world = World(setup)
    traffic = jobs(setup)
    rng = random.Random(setup.seed + 1)
    for router in world.routers:
        for pod in world.pods.values():
            world.after(rng.random() * POLL_S, router.poll, pod)
    for job in traffic:
        world.after(job.at_s, rng.choice(world.routers).admit, job)
    if setup.deaths_per_s:
        at_s = 0.0
        while (at_s := at_s + rng.expovariate(setup.deaths_per_s)) < traffic[-1].at_s:
            world.after(at_s, rng.choice(list(world.pods.values())).die)
    world.run(len(traffic))
    counted = [job for job in world.done if job.at_s >= traffic[len(traffic) // 10].at_s]
    return _outcome(counted, len(world.failed))


def goodput_per_s(setup: Setup) -> float:
    """Return how many requests a second are done by their deadline; the first third is not counted.

    Raises:
        TypeError: the setup has no deadline.
    """
    world, traffic = World(setup), jobs(setup)
    for router in world.routers:
        for pod in world.pods.values():
            world.after(0.0, router.poll, pod)
    for job in traffic:
        world.after(job.at_s, world.routers[0].admit, job)
    world.run(len(traffic))
    since_s, until_s = traffic[len(traffic) // 3].at_s, traffic[-1].at_s
    done = [job for job in world.done if job.at_s > since_s]
    return sum(job.done_s - job.at_s <= setup.deadline_s for job in done) / (until_s - since_s)


def _outcome(counted, num_failed):
    def waits(some):
        return sorted(job.first_token_s - job.at_s for job in some)

    every = waits(counted)
    short = waits(job for job in counted if job.audio_s <= SHORT_S)
    long = waits(job for job in counted if job.audio_s > SHORT_S) or [math.nan]
    return Outcome(
        statistics.fmean(every),
        at(every, 0.99),
        statistics.fmean(short),
        at(short, 0.99),
        at(long, 0.99),
        num_failed,
        every,
    )


def at(ordered, share):
    """Return the quantile `share` of ordered values."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
