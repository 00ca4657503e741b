"""Learns from finished requests what the next one will cost, and at which pod.

Pods that serve one model form a class and share the coefficients of each route. A
pod's slowdown factor is how much longer than its class it takes: its GPU is hot, throttled or
smaller. Both are learned from the `timings` of load reports, each timing once. Implausible
timings of one pod affect its class no more than outliers do.

Pure: state, but no I/O and no clock.
"""

import math
from dataclasses import dataclass, field

from flamingo_common.wire.report import LoadReport, RequestTiming
from flamingo_router.balancing import cost
from flamingo_router.balancing.cost import Rates, Work
from flamingo_router.balancing.regression import Regression

SLOWDOWN_SMOOTHING = 1 - 0.5 ** (1 / 20)
"""The last 20 requests make half of a slowdown factor."""
MAX_SLOWDOWN = 16.0
MIN_TIMINGS = 8
"""Timings after which a slowdown factor is used."""
TOKENS_SMOOTHING = 0.02
MAX_TOKENS = 65_536
MAX_CLASSES = 64
"""Limits memory even if a pod reports another model name each time."""


@dataclass(slots=True)
class _PodTimings:
    epoch: str
    last_number: int = -1
    log_slowdown: float = 0.0
    num_timings: int = 0


@dataclass(slots=True)
class _RouteModel:
    """One route of one class of pods."""

    regression: Regression
    num_tokens: float
    num_responses: int = 0


@dataclass(slots=True)
class CostModel:
    """The learned rates of each route and model, and each pod's slowdown factor."""

    _pods: dict[str, _PodTimings] = field(default_factory=dict)
    _routes: dict[tuple[str, str], _RouteModel] = field(default_factory=dict)

    def observe(self, address: str, load: LoadReport) -> None:
        """Learn from the requests that the pod has finished since its last report."""
        pod = self._pods.get(address)
        if pod is None or pod.epoch != load.epoch:
            pod = self._pods[address] = _PodTimings(load.epoch)
        for timing in load.timings:
            if timing.number > pod.last_number and timing.route in cost.ROUTE_PROFILES:
                self._learn(pod, load, timing)
        pod.last_number = max([pod.last_number, *(timing.number for timing in load.timings)])

    def forget(self, address: str) -> None:
        """Forget a pod that was removed."""
        self._pods.pop(address, None)

    def learned_rates(self, route: str, model: str) -> Rates | None:
        """Return the rates of `route` at pods of `model`; None until enough was observed."""
        known = self._routes.get((model, route))
        return known.regression.rates if known and known.regression.is_trusted else None

    def slowdown(self, address: str) -> float:
        """Return how many times as long as its class a pod takes; 1 while that is unknown."""
        pod = self._pods.get(address)
        if pod is None or pod.num_timings < MIN_TIMINGS:
            return 1.0
        return math.exp(pod.log_slowdown)

    def reset_slowdown(self, address: str) -> None:
        """Reset a pod's slowdown factor, to be measured again: it gets no requests for a while."""
        if address in self._pods:
            self._pods[address].num_timings, self._pods[address].log_slowdown = 0, 0.0

    def num_tokens(self, route: str, model: str) -> float:
        """Return the expected number of tokens of one answer on `route`."""
        known = self._routes.get((model, route))
        profile = cost.ROUTE_PROFILES.get(route, cost.NO_PROFILE)
        return known.num_tokens if known else profile.num_tokens

    def _learn(self, pod: _PodTimings, load: LoadReport, timing: RequestTiming) -> None:
        known = self._route_model(load, timing.route)
        if known is None:
            return
        work = Work(timing.num_windows, timing.num_tokens)
        if known.regression.is_trusted:
            predicted_s = known.regression.rates.cost(work).total_s
            _update_slowdown(pod, timing.compute_s, predicted_s)
        known.regression.learn(work, timing.compute_s)
        known.num_responses += 1
        share = max(1 / known.num_responses, TOKENS_SMOOTHING)
        num_tokens = min(timing.num_tokens / timing.num_answers, MAX_TOKENS)
        known.num_tokens += share * (num_tokens - known.num_tokens)

    def _route_model(self, load: LoadReport, route: str) -> _RouteModel | None:
        known = self._routes.get((load.model, route))
        if known is None and len(self._routes) < MAX_CLASSES * len(cost.ROUTE_PROFILES):
            prior = cost.prior(route, load)
            known = _RouteModel(Regression(prior), cost.ROUTE_PROFILES[route].num_tokens)
            self._routes[load.model, route] = known
        return known


def _update_slowdown(pod: _PodTimings, observed_s: float, predicted_s: float) -> None:
    ratio = max(observed_s, 1e-4) / max(predicted_s, 1e-4)
    log_ratio = math.log(min(max(ratio, 1 / MAX_SLOWDOWN), MAX_SLOWDOWN))
    pod.num_timings += 1
    smoothing = max(SLOWDOWN_SMOOTHING, 1 / (pod.num_timings + 1))
    pod.log_slowdown += smoothing * (log_ratio - pod.log_slowdown)
