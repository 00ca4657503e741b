"""How many seconds of audio a pod processes per second, as measured.

Measured for each GPU product, from the timings of finished requests that pods report: the
audio over the compute time, older requests counting less. A prior is used until enough
is measured, and limits the effect of a series of unusual requests.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from typing import Final

from flamingo_common.wire.report import LoadReport, RequestTiming

WINDOW_AUDIO_S = 30.0
PRIOR: Final = 60.0
"""Audio seconds per second of a GPU that has not been measured."""
PRIOR_WEIGHT_S = 10.0
"""The prior counts as this many seconds of compute time."""
HORIZON_S = 600.0
"""Seconds of compute time after which a request counts 1/e."""
CLAMP = 16.0
"""The rate stays between the prior divided and multiplied by this."""
MAX_PODS = 1024
RESTORED_S = 100.0
"""A rate that was measured before a restart counts as this many seconds of compute time."""


@dataclass(frozen=True, slots=True)
class MeasuredThroughput:
    """What one GPU product processed."""

    audio_s: float = 0.0
    compute_s: float = 0.0
    """Both decay together, so their quotient is a moving average."""
    num_requests: int = 0


@dataclass(frozen=True, slots=True)
class CapacityState:
    """What is kept from one round of reports to the next."""

    products: Mapping[str, MeasuredThroughput] = field(default_factory=dict)
    last_numbers: Mapping[str, int] = field(default_factory=dict)
    """The last request that was counted, by the epoch of its pod's process."""


def restored_state(rates: Mapping[str, float], *, prior: float = PRIOR) -> CapacityState:
    """Return the state of a new operator from the rates last reported, by product."""
    return CapacityState(
        {
            product: MeasuredThroughput(
                audio_s=max(0.0, one * (PRIOR_WEIGHT_S + RESTORED_S) - prior * PRIOR_WEIGHT_S),
                compute_s=RESTORED_S,
                num_requests=1,
            )
            for product, one in rates.items()
        }
    )


def with_reports(state: CapacityState, reports: Iterable[tuple[str, LoadReport]]) -> CapacityState:
    """Return `state` with what is new in `reports`, each with its GPU product.

    A report repeats its last requests, and several routers may pass on the same one: each
    request counts once.
    """
    products, numbers = dict(state.products), dict(state.last_numbers)
    for product, report in reports:
        last = numbers.pop(report.epoch, -1)
        new = [one for one in report.timings if one.number > last]
        numbers[report.epoch] = max([last, *(one.number for one in new)])
        products[product] = _with_timings(products.get(product, MeasuredThroughput()), new)
    kept = list(numbers.items())[-MAX_PODS:]
    return CapacityState(products, dict(kept))


def _with_timings(
    measured: MeasuredThroughput, timings: Sequence[RequestTiming]
) -> MeasuredThroughput:
    # A request whose clip was cached computes no window, so it measures no audio; its cost
    # shows in the pods' backlog.
    for one in timings:
        if one.num_windows and one.compute_s > 0:
            decay = exp(-one.compute_s / HORIZON_S)
            measured = replace(
                measured,
                audio_s=measured.audio_s * decay + one.num_windows * WINDOW_AUDIO_S,
                compute_s=measured.compute_s * decay + one.compute_s,
                num_requests=measured.num_requests + 1,
            )
    return measured


def pod_rate(measured: MeasuredThroughput, *, prior: float = PRIOR) -> float:
    """Return the audio seconds per second of one pod."""
    audio_s = prior * PRIOR_WEIGHT_S + measured.audio_s
    rate = audio_s / (PRIOR_WEIGHT_S + measured.compute_s)
    return min(max(rate, prior / CLAMP), prior * CLAMP)


def mean_pod_rate(
    state: CapacityState, num_pods: Mapping[str, int], *, prior: float = PRIOR
) -> float:
    """Return the rate of a mean pod; `num_pods` counts the ready ones by GPU product."""
    total = sum(num_pods.values())
    if not total:
        known = [pod_rate(one, prior=prior) for one in state.products.values()]
        # The next pod may start on the slowest product there is.
        return min(known, default=prior)
    return (
        sum(
            num * pod_rate(state.products.get(product, MeasuredThroughput()), prior=prior)
            for product, num in num_pods.items()
        )
        / total
    )
