"""Decides which pod gets the next request, which requests wait, and which are rejected.

How it works. The cost of a request is first predicted for the endpoints that are considered:
one `Offer` for each. Then

- while some endpoint is *open*, with less than `queue_threshold_s` of prefill and at most
  `max_backlog_s` of work, the policy picks among the open ones, and the request gets its
  ticket immediately. An endpoint that has the clip cached is considered even when it is busy,
  because the request costs little there;
- otherwise the request enters the fair queue, unless the queue is full, its predicted wait
  exceeds `max_wait_s`, or it cannot meet its deadline: then it is rejected with `Overloaded`;
- which endpoints are open depends on the tenant and the priority (`open_endpoints.py`), so neither
  a flood of one tenant nor a batch is in the pods before another asks;
- whenever an endpoint can have become open (a report, a first byte, a settled ticket, time),
  `dispatch_waiting` gives the next requests of the queue to the open endpoints.

While no endpoint is ready at all, requests are held in the same queue for as long as a cold
start can take.

Pure: state, but no I/O; the clock and the random source are arguments. The same class runs
in the router and in the simulator.
"""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence

from flamingo_common.errors import FlamingoError, Overloaded
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import cost, ejection, policy
from flamingo_router.balancing.admission_limits import AdmissionLimits
from flamingo_router.balancing.affinity import Affinity
from flamingo_router.balancing.arrivals import Arrivals
from flamingo_router.balancing.cost import Rates, Work
from flamingo_router.balancing.cost_model import CostModel
from flamingo_router.balancing.endpoint import Endpoint
from flamingo_router.balancing.fair_queue import QueuedRequest, queue_order
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.held_clips import HeldClips
from flamingo_router.balancing.ledger import Owner, Ticket
from flamingo_router.balancing.open_endpoints import OpenEndpoints
from flamingo_router.balancing.policy import Offer, Policy
from flamingo_router.balancing.random_source import RandomSource
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.balancing.request_queue import RequestQueue
from flamingo_router.balancing.retry_times import RetryTimes
from flamingo_router.balancing.tenants import ActiveTenants

SAMPLE_SIZE = 24
"""How many endpoints of a larger fleet are considered for one request, sampled at random: the least
loaded of 24 is hardly worse than that of all, and a decision takes the same time for 2,000."""
TOKENS_PER_WINDOW = 750
MIN_RECHECK_S, FAIR_RECHECK_S, MAX_RECHECK_S = 0.005, 0.05, 0.25


class Balancer:
    """Admits requests to the endpoints of a fleet."""

    def __init__(
        self,
        fleet: Fleet,
        policy: Policy,
        limits: AdmissionLimits,
        rng: RandomSource,
        *,
        now_s: float,
    ) -> None:
        self.fleet = fleet
        self.policy = policy
        self.limits = limits
        self.costs = CostModel()
        self.affinity = Affinity()
        self.held = HeldClips()
        self.queue = RequestQueue()
        self.arrivals = Arrivals(now_s)
        self.tenants = ActiveTenants()
        self._room = OpenEndpoints(fleet, self.tenants, limits, policy.uses_queue)
        self._retries = RetryTimes()
        self.completed_audio_s = 0.0
        self._rng = rng

    def observe(self, address: str, load: LoadReport, *, requested_s: float, now_s: float) -> None:
        """Apply a pod's load report, which was requested at `requested_s`."""
        if not self.fleet.observe(address, load, requested_s=requested_s):
            return
        self.costs.observe(address, load)
        self.affinity.observe(address, load.epoch, load.clips, requested_s=requested_s)
        self.held.observe(address, load.epoch, load.held_clips, requested_s=requested_s)
        if self.costs.slowdown(address) > ejection.SLOW_FACTOR / 2:
            self._eject_if_slow(address, load.model, now_s)

    def set_members(self, members: dict[str, bool]) -> None:
        """Replace the endpoints; the value of each is whether it may get requests."""
        self._forget(self.fleet.set_members(members))

    def check_admission(self, info: RequestInfo, *, now_s: float) -> None:
        """Reject a request that would not be admitted, before its body is read.

        Raises:
            NoEndpointReady: no pod is ready, and the request cannot be held.
            Overloaded: the request would have to wait too long; `retry_after_s` is set.
            DeadlineExceeded: the request takes longer than its deadline allows.
        """
        self.tenants.record(info.tenant, info.weight, now_s=now_s)
        try:
            self._check_admission(info, now_s)
        except FlamingoError as error:  # a rejected request is demand too: autoscaling must see it
            self.arrivals.record_unread(self._prior_s(info), now_s=now_s)
            if isinstance(error, Overloaded):
                raise self._deferred(info, error, now_s) from None
            raise

    def _check_admission(self, info: RequestInfo, now_s: float) -> None:
        summary = self.fleet.summary(now_s=now_s)
        if not summary.num_ready:
            self._check_hold(info, now_s)
        elif summary.min_backlog_s > self.limits.max_backlog_s:
            raise policy.at_capacity(summary.min_backlog_s, self.limits.max_backlog_s)
        elif self.queue or info.deadline_s is not None:
            self._check_wait(info, self._offers(info, self._ready(info, now_s)), now_s)

    def admit(self, info: RequestInfo, *, now_s: float) -> Ticket | QueuedRequest:
        """Return the request's ticket, or its place in the queue while no pod is open.

        Raises:
            NoEndpointReady, Overloaded, DeadlineExceeded: as `check_admission`.
        """
        self.tenants.record(info.tenant, info.weight, now_s=now_s)
        is_first = not self.queue.of_kind(info)
        offers = self._offers(info, self._ready(info, now_s))
        cost_s = min((offer.cost.total_s for offer in offers), default=self._prior_s(info))
        self.arrivals.record(info.audio_s, cost_s, now_s=now_s)
        endpoints = [each.endpoint for each in offers]
        open_at = {each.address for each in self._room.among(endpoints, info.owner, now_s=now_s)}
        open_offers = [offer for offer in offers if offer.endpoint.address in open_at]
        if not offers:
            self._check_hold(info, now_s)
        elif not open_offers or not is_first or info.deadline_s is not None:
            try:
                self._check_wait(info, offers, now_s)
            except Overloaded as error:
                raise self._deferred(info, error, now_s) from None
        if open_offers and is_first:
            return self._reserve(info, self._pick(offers, open_offers), now_s)
        queued = QueuedRequest(info, cost_s, now_s)
        self.queue.push(queued)
        return queued

    def dispatch_waiting(
        self, *, now_s: float, among: Iterable[str] | None = None
    ) -> list[tuple[QueuedRequest, Ticket]]:
        """Dispatch queued requests to the endpoints that are open: all, or those in `among`."""
        addresses = None if among is None else list(among)
        dispatched = []
        while self.queue:
            views = self._views(addresses, now_s)
            seen = {True: views, False: [each.as_live() for each in views]}
            queued = self.queue.pop(functools.partial(self._is_any_open, seen, now_s))
            if queued is None:
                break
            owner = queued.info.owner
            open_ones = list(self._room.among(seen[owner.is_low], owner, now_s=now_s))
            cached = self._others_with_clip(queued.info, open_ones, now_s)
            holders = self.holders(queued.info, now_s=now_s)
            offers = self._offers(queued.info, holders or [*open_ones, *cached])
            chosen = self.policy.pick(offers, self._rng)
            dispatched.append((queued, self._reserve(queued.info, chosen, now_s)))
        return dispatched

    def reassign(self, info: RequestInfo, *, without: Collection[str], now_s: float) -> Ticket:
        """Return a ticket of an endpoint that is not in `without`, without queueing, for a retry.

        Raises:
            NoEndpointReady: there is no other.
            Overloaded: all others are at capacity.
        """
        known = self.fleet.addresses if info.held is None else self.held.holders(info.held)
        others = [each for each in known if each not in without]
        views = _seen_by(info, self._views(self._sample(others), now_s))
        offers = self._offers(info, views)
        chosen = policy.choose(
            offers, policy=self.policy, max_backlog_s=self.limits.max_backlog_s, rng=self._rng
        )
        return self._reserve(info, chosen, now_s)

    def cancel(self, queued: QueuedRequest) -> None:
        """Remove a queued request whose client disconnected, or that has waited too long."""
        self.queue.remove(queued)

    def settle(self, ticket: Ticket, *, now_s: float, answered_audio_s: float = 0.0) -> None:
        """Settle the ticket of a request that has ended, with or without success."""
        self.fleet.settle(ticket, now_s=now_s)
        self.completed_audio_s += answered_audio_s
        self._forget(self.fleet.forget_removed())

    def recheck_after_s(self, *, now_s: float) -> float:
        """Return in how many seconds an endpoint can become open merely because time passes."""
        views, room = self._views(None, now_s), self._room
        wait_s = room.recheck_after_s([each.as_live() for each in views], is_low=False)
        if self.queue.low:
            wait_s = min(wait_s, room.recheck_after_s(views, is_low=True))
        is_shared = self.tenants.share("", now_s=now_s) < 1
        return min(max(wait_s, FAIR_RECHECK_S if is_shared else MIN_RECHECK_S), MAX_RECHECK_S)

    def is_cold(self, *, now_s: float) -> bool:
        """Return whether no endpoint is ready."""
        return not self.fleet.summary(now_s=now_s).num_ready

    def holders(self, info: RequestInfo, *, now_s: float) -> list[Endpoint]:
        """Return the ready endpoints, busy or not, that hold a clip given by its id; or none."""
        return self._ready_of(info, self.held.holders(info.held) if info.held else [], now_s)

    def _ready_of(self, info: RequestInfo, among: Collection[str], now_s: float) -> list[Endpoint]:
        known = self.fleet.endpoints(now_s=now_s, among=among)
        return _seen_by(info, [each for each in known if each.is_ready])

    def _is_any_open(
        self, seen: Mapping[bool, Sequence[Endpoint]], now_s: float, owner: Owner
    ) -> bool:
        return any(self._room.among(seen[owner.is_low], owner, now_s=now_s))

    def _sample(self, addresses: Sequence[str]) -> Sequence[str]:
        if len(addresses) <= SAMPLE_SIZE:
            return addresses
        return self._rng.sample(addresses, SAMPLE_SIZE)

    def _views(self, among: Sequence[str] | None, now_s: float) -> list[Endpoint]:
        """Return the views of the endpoints in `among`; None: all, or a sample of a large fleet."""
        if among is None:
            among = self._sample(self.fleet.addresses)
        return self.fleet.endpoints(now_s=now_s, among=among)

    def _ready(self, info: RequestInfo, now_s: float) -> list[Endpoint]:
        """Return the ready endpoints among the sample and those that have the clip cached."""
        if not self.fleet.summary(now_s=now_s).num_ready:
            return []
        if holders := self.holders(info, now_s=now_s):
            return holders
        views = self._views(None, now_s)
        if len(self.fleet.addresses) > SAMPLE_SIZE:
            views += self._others_with_clip(info, views, now_s)
        ready = [endpoint for endpoint in views if endpoint.is_ready]
        if not ready:
            ready = [each for each in self.fleet.endpoints(now_s=now_s) if each.is_ready]
        return _seen_by(info, ready)

    def _pick(self, offers: Sequence[Offer], open_offers: Sequence[Offer]) -> Offer:
        """Return the best offer, of an open endpoint or of a busy one that has the clip cached."""
        chosen = self.policy.pick(open_offers, self._rng)
        if len(open_offers) == len(offers):
            return chosen
        max_backlog_s = self.limits.max_backlog_s
        cached = [
            each for each in offers if each.is_cached and each.endpoint.backlog_s <= max_backlog_s
        ]
        return self.policy.pick([chosen, *cached], self._rng) if cached else chosen

    def _others_with_clip(
        self, info: RequestInfo, known: Iterable[Endpoint], now_s: float
    ) -> list[Endpoint]:
        """Return the ready endpoints that have the clip cached and are not in `known`."""
        if info.clip is None or not self.policy.uses_cache:
            return []
        addresses = self.affinity.pods_with(info.clip) - {each.address for each in known}
        max_s, found = self.limits.max_backlog_s, self._ready_of(info, addresses, now_s)
        return [each for each in found if each.backlog_s <= max_s]

    def _offers(self, info: RequestInfo, endpoints: Sequence[Endpoint]) -> list[Offer]:
        """Return the request's offer of each of these endpoints."""
        uses_cache = self.policy.uses_cache and info.clip is not None
        by_model: dict[str, tuple[Work, Rates | None]] = {}
        slowdown, offers = self.costs.slowdown, []
        for endpoint in endpoints:
            model, load = endpoint.model, endpoint.load
            known = by_model.get(model)
            if known is None:
                known = by_model[model] = (
                    self._work(info, model),
                    self.costs.learned_rates(info.route, model),
                )
            work, rates = known
            is_cached = uses_cache and self.affinity.has_clip(endpoint.address, str(info.clip))
            if rates is None:
                price = cost.prior(info.route, load).cost(work, is_cached=is_cached)
            else:
                factor = slowdown(endpoint.address)
                price = rates.cost(work, is_cached=is_cached, slowdown=factor)
            num_kv_tokens = work.num_tokens + TOKENS_PER_WINDOW * work.num_windows * (not is_cached)
            offers.append(Offer(endpoint, price, num_kv_tokens, is_cached))
        return offers

    def _work(self, info: RequestInfo, model: str) -> Work:
        if info.num_questions:
            return Work(cost.windows_of(info.audio_s), info.num_questions)
        num_tokens = info.num_answers * self.costs.num_tokens(info.route, model)
        if info.max_tokens is not None:
            num_tokens = min(num_tokens, info.max_tokens)
        return Work(cost.windows_of(info.audio_s), num_tokens)

    def _prior_s(self, info: RequestInfo) -> float:
        """Return the request's cost at a pod without any measurements, in seconds."""
        return cost.prior(info.route, None).cost(self._work(info, "")).total_s

    def _reserve(self, info: RequestInfo, chosen: Offer, now_s: float) -> Ticket:
        address = chosen.endpoint.address
        if info.clip is not None:
            self.affinity.record_sent(address, info.clip, now_s=now_s)
        return self.fleet.reserve(
            address,
            chosen.cost,
            now_s=now_s,
            num_kv_tokens=chosen.num_kv_tokens,
            owner=info.owner,
        )

    def _check_hold(self, info: RequestInfo, now_s: float) -> None:
        """Reject a request that cannot be held until a pod is ready."""
        if self.limits.cold_start_hold_s <= 0:
            raise policy.no_endpoint_ready("no pod is ready")
        if violation := self._queue_violation(info, info.audio_s, now_s):
            raise policy.no_endpoint_ready(
                f"no pod is ready and the request queue is full: {violation}"
            )

    def _check_wait(self, info: RequestInfo, offers: Sequence[Offer], now_s: float) -> None:
        """Reject a request that would wait too long."""
        limits = self.limits
        min_backlog_s = min(offer.endpoint.backlog_s for offer in offers)
        if min_backlog_s > limits.max_backlog_s:
            raise policy.at_capacity(min_backlog_s, limits.max_backlog_s)
        cost_s = min(offer.cost.total_s for offer in offers)
        wait_s = self._predicted_wait_s(info, cost_s, offers, now_s)
        if violation := self._queue_violation(info, 0.0, now_s):
            num_queued, _ = self.queue.counted(info)
            first_leaves_s = wait_s / max(num_queued, 1)
            raise policy.overloaded(f"the request queue is full: {violation}", first_leaves_s)
        max_wait_s = limits.max_wait_for_s(cost_s)
        if wait_s > max_wait_s:
            raise policy.overloaded(
                f"the predicted wait for a pod is {wait_s:.0f} s (limit: {max_wait_s:.0f} s)",
                wait_s - max_wait_s,
            )
        if info.deadline_s is not None:
            first = min((offer.endpoint for offer in offers), key=lambda each: each.queued_s)
            policy.check_deadline(info.deadline_s - now_s, wait_s + first.beside_s, cost_s)

    def _deferred(self, info: RequestInfo, error: Overloaded, now_s: float) -> Overloaded:
        """Return the error with a time to retry that leaves room for those rejected before."""
        num_ready, cost_s = self.fleet.summary(now_s=now_s).num_ready, self._prior_s(info)
        excess_s = error.retry_after_s or 0.0
        wait_s = self._retries.defer(excess_s, cost_s, num_ready=num_ready, now_s=now_s)
        return policy.overloaded(error.message.rpartition("; retry in ")[0], wait_s)

    def _queue_violation(self, info: RequestInfo, more_audio_s: float, now_s: float) -> str:
        """Return how full the queue is, with the limit; empty while its tenant has its share left.

        So one tenant cannot fill the queue for the others; together they can exceed each limit
        by as much again.
        """
        share = self.tenants.share(info.tenant, now_s=now_s)
        num_own, own_audio_s = self.queue.of(info)
        is_within = (
            share < 1
            and num_own < share * self.limits.max_queued
            and own_audio_s < share * self.limits.max_queued_audio_s
        )
        num, audio_s = self.queue.counted(info)
        return "" if is_within else self.limits.queue_violation(num, audio_s + more_audio_s)

    def _predicted_wait_s(
        self, info: RequestInfo, cost_s: float, offers: Sequence[Offer], now_s: float
    ) -> float:
        """Return how long a request that arrives now waits before a pod starts it."""
        wait_s = min(offer.endpoint.queued_s for offer in offers)
        if not self.queue:
            return wait_s
        before_s = self.queue.work_before_s(info, queue_order(info, cost_s, now_s))
        return wait_s + before_s / max(self.fleet.summary(now_s=now_s).num_ready, 1)

    def _eject_if_slow(self, address: str, model: str, now_s: float) -> None:
        """Eject a pod that takes far longer than the others of its class."""
        slowdowns = {
            each.address: self.costs.slowdown(each.address)
            for each in self.fleet.endpoints(now_s=now_s)
            if each.is_ready and each.model == model
        }
        if address in ejection.slow_addresses(slowdowns):
            self.fleet.eject(address, now_s=now_s)
            self.costs.reset_slowdown(address)

    def _forget(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            self.costs.forget(address)
            self.affinity.forget(address)
            self.held.forget(address)


def _seen_by(info: RequestInfo, endpoints: list[Endpoint]) -> list[Endpoint]:
    """Return endpoints as a request sees them: a live one without what it overtakes."""
    return endpoints if info.priority.is_low else [each.as_live() for each in endpoints]
