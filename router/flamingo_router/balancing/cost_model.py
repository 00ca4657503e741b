"""What pods say of finished requests → what the next one will cost, and where.

A class of pods is those with one model: they share the coefficients of each route.
How much longer than its class one pod takes is its speed factor: a hot, throttled or
smaller GPU. Both are learned from the reports' `timings`, each once. A pod that
reports nonsense moves its class by no more than outliers can.

Pure: state, but no I/O and no clock.
"""

import math
from dataclasses import dataclass, field

from flamingo_common.wire.report import LoadReport, RequestTiming
from flamingo_router.balancing import cost
from flamingo_router.balancing.cost import Rates, Work
from flamingo_router.balancing.regression import Regression

SPEED_SHARE = 1 - 0.5 ** (1 / 20)
"""Half of a speed factor is the last 20 requests."""
MAX_SPEED = 16.0
NUM_TO_TELL_SPEED = 8
TOKENS_SHARE = 0.02
MAX_CLASSES = 64
"""Each `model` that pods name; a pod that changes its name all the time fills no memory."""


@dataclass(slots=True)
class _Pod:
    epoch: str
    last_number: int = -1
    log_speed: float = 0.0
    num_timings: int = 0


@dataclass(slots=True)
class _Route:
    """One route of one class."""

    regression: Regression
    num_tokens: float
    num_answers: int = 0


@dataclass(slots=True)
class CostModel:
    """See the module."""

    _pods: dict[str, _Pod] = field(default_factory=dict)
    _routes: dict[tuple[str, str], _Route] = field(default_factory=dict)

    def observe(self, address: str, load: LoadReport) -> None:
        """Learn from the requests that the pod has finished since its last report."""
        pod = self._pods.get(address)
        if pod is None or pod.epoch != load.epoch:
            pod = self._pods[address] = _Pod(load.epoch)
        for timing in load.timings:
            if timing.number > pod.last_number and timing.route in cost.SHAPES:
                self._learn(pod, load, timing)
        pod.last_number = max([pod.last_number, *(timing.number for timing in load.timings)])

    def forget(self, address: str) -> None:
        """Forget a pod that is gone."""
        self._pods.pop(address, None)

    def learned(self, route: str, model: str) -> Rates | None:
        """Return what requests on `route` cost pods of `model`; None while too few were seen."""
        known = self._routes.get((model, route))
        return known.regression.rates if known and known.regression.is_trusted else None

    def speed(self, address: str) -> float:
        """Return how many times as long as its class a pod takes; 1 while that is unknown."""
        pod = self._pods.get(address)
        if pod is None or pod.num_timings < NUM_TO_TELL_SPEED:
            return 1.0
        return math.exp(pod.log_speed)

    def forgive(self, address: str) -> None:
        """Measure a pod's speed anew: it was left alone for a while."""
        if address in self._pods:
            self._pods[address].num_timings, self._pods[address].log_speed = 0, 0.0

    def num_tokens(self, route: str, model: str, max_tokens: int | None = None) -> float:
        """Return how many tokens an answer on `route` will have."""
        known = self._routes.get((model, route))
        expected = known.num_tokens if known else cost.SHAPES.get(route, cost.NO_SHAPE).num_tokens
        return expected if max_tokens is None else min(expected, max_tokens)

    def _learn(self, pod: _Pod, load: LoadReport, timing: RequestTiming) -> None:
        known = self._route(load, timing.route)
        if known is None:
            return
        work = Work(timing.num_windows, timing.num_tokens)
        if known.regression.is_trusted:
            predicted_s = known.regression.rates.cost(work).total_s
            _note_speed(pod, timing.compute_s, predicted_s)
        known.regression.learn(work, timing.compute_s)
        known.num_answers += 1
        share = max(1 / known.num_answers, TOKENS_SHARE)
        known.num_tokens += share * (min(timing.num_tokens, 65_536) - known.num_tokens)

    def _route(self, load: LoadReport, route: str) -> _Route | None:
        known = self._routes.get((load.model, route))
        if known is None and len(self._routes) < MAX_CLASSES * len(cost.SHAPES):
            prior = cost.prior(route, load)
            known = _Route(Regression(prior), cost.SHAPES[route].num_tokens)
            self._routes[load.model, route] = known
        return known


def _note_speed(pod: _Pod, observed_s: float, predicted_s: float) -> None:
    ratio = max(observed_s, 1e-4) / max(predicted_s, 1e-4)
    log_ratio = math.log(min(max(ratio, 1 / MAX_SPEED), MAX_SPEED))
    pod.num_timings += 1
    pod.log_speed += max(SPEED_SHARE, 1 / (pod.num_timings + 1)) * (log_ratio - pod.log_speed)
