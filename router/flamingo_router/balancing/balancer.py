"""The router's mind: who gets the next request, who waits, who is refused.

While some pod has less to prefill than it may hold (`queue_threshold_s`), a request goes out at
once: a pod lets a short one overtake. Above that it waits here, where the shortest is
next, and a pod that becomes free gets it. A pod that holds the clip is asked even when it
is busy: what remains to do is small.

With nothing ready at all, requests are held for as long as a cold start may take.

Pure: state, but no I/O; clock and dice are handed in. The same class runs in the
router and in the simulator.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from flamingo_common.errors import DeadlineExceeded, NoEndpointReady
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import cost, ejection, policy
from flamingo_router.balancing.affinity import Affinity
from flamingo_router.balancing.arrivals import Arrivals
from flamingo_router.balancing.cost import Rates, Work
from flamingo_router.balancing.cost_model import CostModel
from flamingo_router.balancing.fair_queue import FairQueue, Waiting, order_of
from flamingo_router.balancing.fleet import Endpoint, Fleet
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.policy import Offer, Policy, Roll
from flamingo_router.balancing.request_info import Ask

NUM_LOOKED_AT = 24
"""Of a larger fleet, the pods looked at for one request, drawn by lot: the least of 24 is hardly
worse than the least of all, and a decision takes the same time for 2,000."""
TOKENS_A_WINDOW = 750
MIN_WAKE_S, MAX_WAKE_S = 0.005, 0.25

Draw = Callable[[Sequence[str], int], Sequence[str]]
"""Some of many, by lot."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is taken on."""

    max_backlog_s: float = 120.0
    """Work that a pod may hold."""
    queue_threshold_s: float = 30.0
    """Prefill that a pod may hold before requests wait in the router; infinite: they never do."""
    max_queued: int = 1000
    max_queued_audio_s: float = 36_000.0
    max_wait_s: float = 60.0
    cold_start_hold_s: float = 600.0
    """How long requests wait for a first pod."""


@dataclass(frozen=True, slots=True)
class Dice:
    """What chance is needed for."""

    roll: Roll
    draw: Draw


class Balancer:
    """See the module."""

    def __init__(
        self, fleet: Fleet, chosen_by: Policy, bounds: Bounds, dice: Dice, *, now_s: float
    ) -> None:
        self.fleet = fleet
        self.policy = chosen_by
        self.bounds = bounds
        self.costs = CostModel()
        self.affinity = Affinity()
        self.queue = FairQueue()
        self.arrivals = Arrivals(now_s)
        self.completed_audio_s = 0.0
        self._dice = dice

    def observe(self, address: str, load: LoadReport, *, asked_s: float, now_s: float) -> None:
        """Take in a pod's report."""
        if not self.fleet.observe(address, load, asked_s=asked_s):
            return
        self.costs.observe(address, load)
        self.affinity.observe(address, load.epoch, load.clips, asked_s=asked_s)
        if self.costs.speed(address) > ejection.SLOW_FACTOR / 2:
            self._eject_if_slow(address, load.model, now_s)

    def reconcile(self, members: dict[str, bool]) -> None:
        """Know these endpoints; the value: may it get work."""
        self._forget(self.fleet.reconcile(members))

    def check(self, ask: Ask, *, now_s: float) -> None:
        """Refuse what would not be taken, before its body is read.

        Raises:
            NoEndpointReady: nothing is ready, and no more can be held.
            Overloaded: it would have to wait too long; says how long.
        """
        summary = self.fleet.summary(now_s=now_s)
        if not summary.num_ready:
            self._check_held(ask)
        elif summary.emptiest_s > self.bounds.max_backlog_s:
            raise policy.full(summary.emptiest_s - self.bounds.max_backlog_s)
        elif self.queue.num or ask.deadline_s is not None:
            self._check_wait(ask, self._offers(ask, self._ready(ask, now_s)), now_s)

    def ask(self, ask: Ask, *, now_s: float) -> Ticket | Waiting:
        """Return the request's ticket, or let it wait where no pod is free.

        Raises:
            NoEndpointReady, Overloaded, DeadlineExceeded: as `check`.
        """
        offers = self._offers(ask, self._ready(ask, now_s))
        cost_s = min((offer.cost.total_s for offer in offers), default=self._usual_s(ask))
        self.arrivals.note(ask.audio_s, cost_s, now_s=now_s)
        free = {each.address for each in self._open([offer.endpoint for offer in offers], now_s)}
        open_ones = [offer for offer in offers if offer.endpoint.address in free]
        if not offers:
            self._check_held(ask)
        elif not open_ones or self.queue.num or ask.deadline_s is not None:
            self._check_wait(ask, offers, now_s)
        if open_ones and not self.queue.num:
            return self._reserve(ask, self._picked(offers, open_ones), now_s)
        waiting = Waiting(ask, cost_s, now_s)
        self.queue.push(waiting)
        return waiting

    def pump(
        self, *, now_s: float, among: Iterable[str] | None = None
    ) -> list[tuple[Waiting, Ticket]]:
        """Give those who are next to the pods that are free, or to those `among` them."""
        some = None if among is None else list(among)
        placed = []
        while self.queue.num:
            open_ones = list(self._open(self._views(some, now_s), now_s))
            if not open_ones:
                break
            waiting = self.queue.pop()
            busy = self._busy_holders(waiting.ask, open_ones, now_s)
            offers = self._offers(waiting.ask, [*open_ones, *busy])
            chosen = self.policy.pick(offers, self._dice.roll)
            placed.append((waiting, self._reserve(waiting.ask, chosen, now_s)))
        return placed

    def again(self, ask: Ask, *, without: Collection[str], now_s: float) -> Ticket:
        """Promise a request that has failed `without` some to another pod, at once.

        Raises:
            NoEndpointReady: there is no other.
            Overloaded: the others are full.
        """
        others = [each for each in self.fleet.addresses if each not in without]
        offers = self._offers(ask, self._views(self._drawn(others), now_s))
        chosen = policy.choose(
            offers,
            policy=self.policy,
            max_backlog_s=self.bounds.max_backlog_s,
            roll=self._dice.roll,
        )
        return self._reserve(ask, chosen, now_s)

    def give_up(self, waiting: Waiting) -> None:
        """Forget a request whose client has left, or that has waited too long."""
        self.queue.remove(waiting)

    def settle(self, ticket: Ticket, *, now_s: float, answered_audio_s: float = 0.0) -> None:
        """Take a ticket back: its request is over, however it ended."""
        self.fleet.settle(ticket, now_s=now_s)
        self.completed_audio_s += answered_audio_s
        self._forget(self.fleet.forget_left())

    def wake_s(self, *, now_s: float) -> float:
        """Return in how many seconds a pod may have become free by itself."""
        queued = [each.queued_s for each in self._views(None, now_s) if each.is_ready]
        return min(max(min(queued, default=1) - self._queue_threshold_s, MIN_WAKE_S), MAX_WAKE_S)

    def is_cold(self, *, now_s: float) -> bool:
        """Whether no endpoint is ready."""
        return not self.fleet.summary(now_s=now_s).num_ready

    @property
    def _queue_threshold_s(self) -> float:
        return self.bounds.queue_threshold_s if self.policy.binds_late else math.inf

    def _open(self, endpoints: Iterable[Endpoint], now_s: float) -> Iterator[Endpoint]:
        """Yield who may be given more; one that is silent, only where all are."""
        at_s, max_backlog_s = self._queue_threshold_s, self.bounds.max_backlog_s
        all_silent = not self.fleet.summary(now_s=now_s).num_known
        for each in endpoints:
            is_free = each.queued_s < at_s and each.backlog_s <= max_backlog_s
            if is_free and each.is_ready and (each.is_known or all_silent):
                yield each

    def _drawn(self, addresses: Sequence[str]) -> Sequence[str]:
        if len(addresses) <= NUM_LOOKED_AT:
            return addresses
        return self._dice.draw(addresses, NUM_LOOKED_AT)

    def _views(self, among: Sequence[str] | None, now_s: float) -> list[Endpoint]:
        """Return what is seen of some endpoints; of a large fleet, of some drawn by lot."""
        if among is None:
            among = self._drawn(self.fleet.addresses)
        return self.fleet.endpoints(now_s=now_s, among=among)

    def _ready(self, ask: Ask, now_s: float) -> list[Endpoint]:
        """Return the ready ones of those looked at, and of those that hold the clip."""
        if not self.fleet.summary(now_s=now_s).num_ready:
            return []
        seen = self._views(None, now_s)
        if len(self.fleet.addresses) > NUM_LOOKED_AT:
            seen += self._busy_holders(ask, seen, now_s)
        ready = [endpoint for endpoint in seen if endpoint.is_ready]
        return ready or [each for each in self.fleet.endpoints(now_s=now_s) if each.is_ready]

    def _picked(self, offers: Sequence[Offer], open_ones: Sequence[Offer]) -> Offer:
        """Return the best: a busy pod that holds the clip counts too."""
        chosen = self.policy.pick(open_ones, self._dice.roll)
        if len(open_ones) == len(offers):
            return chosen
        max_backlog_s = self.bounds.max_backlog_s
        held = [
            each for each in offers if each.is_held and each.endpoint.backlog_s <= max_backlog_s
        ]
        return self.policy.pick([chosen, *held], self._dice.roll) if held else chosen

    def _busy_holders(self, ask: Ask, seen: Iterable[Endpoint], now_s: float) -> list[Endpoint]:
        """Return the endpoints that hold the clip and are not among those `seen`."""
        if ask.clip is None or not self.policy.knows_clips:
            return []
        addresses = self.affinity.holders(ask.clip) - {each.address for each in seen}
        views = self.fleet.endpoints(now_s=now_s, among=addresses)
        return [
            each for each in views if each.is_ready and each.backlog_s <= self.bounds.max_backlog_s
        ]

    def _offers(self, ask: Ask, endpoints: Sequence[Endpoint]) -> list[Offer]:
        """Return what the request costs at each of these."""
        knows_clips = self.policy.knows_clips and ask.clip is not None
        classes: dict[str, tuple[Work, Rates | None]] = {}
        speed, offers = self.costs.speed, []
        for endpoint in endpoints:
            model, load = endpoint.model, endpoint.load
            known = classes.get(model)
            if known is None:
                known = classes[model] = (
                    self._work(ask, model),
                    self.costs.learned(ask.route, model),
                )
            work, rates = known
            is_held = knows_clips and self.affinity.holds(endpoint.address, str(ask.clip))
            if rates is None:
                price = cost.prior(ask.route, load).cost(work, is_held=is_held)
            else:
                price = rates.cost(work, is_held=is_held, speed=speed(endpoint.address))
            num_kv_tokens = work.num_tokens + TOKENS_A_WINDOW * work.num_windows * (not is_held)
            offers.append(Offer(endpoint, price, num_kv_tokens, is_held))
        return offers

    def _work(self, ask: Ask, model: str) -> Work:
        num_tokens = self.costs.num_tokens(ask.route, model, ask.max_tokens)
        return Work(cost.windows_of(ask.audio_s), num_tokens)

    def _usual_s(self, ask: Ask) -> float:
        """Return what a request costs a pod of which nothing is known."""
        return cost.prior(ask.route, None).cost(self._work(ask, "")).total_s

    def _reserve(self, ask: Ask, chosen: Offer, now_s: float) -> Ticket:
        address = chosen.endpoint.address
        if ask.clip is not None:
            self.affinity.place(address, ask.clip, now_s=now_s)
        return self.fleet.reserve(
            address, chosen.cost, now_s=now_s, num_kv_tokens=chosen.num_kv_tokens
        )

    def _check_held(self, ask: Ask) -> None:
        bounds, queue = self.bounds, self.queue
        if bounds.cold_start_hold_s <= 0:
            raise NoEndpointReady("no pod is ready", retry_after_s=policy.RETRY_S)
        is_full = queue.num >= bounds.max_queued
        if is_full or queue.audio_s + ask.audio_s > bounds.max_queued_audio_s:
            raise NoEndpointReady(
                "no pod is ready, and as much waits for one as may", retry_after_s=policy.RETRY_S
            )

    def _check_wait(self, ask: Ask, offers: Sequence[Offer], now_s: float) -> None:
        """Refuse what would wait too long.

        Raises:
            Overloaded: says how long that is.
        """
        bounds, queue = self.bounds, self.queue
        emptiest_s = min(offer.endpoint.backlog_s for offer in offers)
        if emptiest_s > bounds.max_backlog_s:
            raise policy.full(emptiest_s - bounds.max_backlog_s)
        cost_s = min(offer.cost.total_s for offer in offers)
        wait_s = self._predicted_wait_s(ask, cost_s, offers, now_s)
        is_full = queue.num >= bounds.max_queued or queue.audio_s > bounds.max_queued_audio_s
        if is_full:
            raise policy.too_long("as much waits for a pod as may", wait_s)
        if wait_s > bounds.max_wait_s:
            raise policy.too_long(f"it would wait {wait_s:.0f} s for a pod", wait_s)
        if ask.deadline_s is not None:
            _check_deadline(ask.deadline_s - now_s, wait_s, cost_s)

    def _predicted_wait_s(
        self, ask: Ask, cost_s: float, offers: Sequence[Offer], now_s: float
    ) -> float:
        """Return how long a request that comes now waits before a pod begins it."""
        wait_s = min(offer.endpoint.queued_s for offer in offers)
        if not self.queue.num:
            return wait_s
        before_s = self.queue.seconds_before(order_of(ask, cost_s, now_s))
        return wait_s + before_s / max(self.fleet.summary(now_s=now_s).num_ready, 1)

    def _eject_if_slow(self, address: str, model: str, now_s: float) -> None:
        """Leave a pod alone that takes far longer than the others of its class."""
        speeds = {
            each.address: self.costs.speed(each.address)
            for each in self.fleet.endpoints(now_s=now_s)
            if each.is_ready and each.model == model
        }
        if address in ejection.slow(speeds):
            self.fleet.eject(address, now_s=now_s)
            self.costs.forgive(address)

    def _forget(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            self.costs.forget(address)
            self.affinity.forget(address)


def _check_deadline(left_s: float, wait_s: float, cost_s: float) -> None:
    """Refuse what would come too late.

    Raises:
        DeadlineExceeded: the work alone takes longer than is left; to come back does not help.
        Overloaded: the wait before it does.
    """
    if cost_s > left_s:
        raise DeadlineExceeded(f"it takes {cost_s:.2f} s, and its deadline is in {left_s:.2f} s")
    if wait_s + cost_s > left_s:
        told = f"it would be answered in {wait_s + cost_s:.1f} s, past its deadline"
        raise policy.too_long(told, wait_s)
