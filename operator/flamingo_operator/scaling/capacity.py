"""What pods said of finished requests → audio seconds that one pod takes per second.

Measured for each GPU product: the audio that was computed over the seconds it took,
older requests counting less. A prior stands in until there is enough of it, and
bounds what a run of odd requests can make of it.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from typing import Final

from flamingo_common.wire.report import LoadReport, RequestTiming

WINDOW_AUDIO_S = 30.0
PRIOR: Final = 60.0
"""Audio seconds per second of a GPU that nothing is known of."""
PRIOR_WEIGHT_S = 10.0
"""The prior counts as so many seconds of computing."""
HORIZON_S = 600.0
"""Seconds of computing after which a request counts 1/e."""
CLAMP = 16.0
"""The figure stays between the prior divided and multiplied by this."""
MAX_PODS = 1024
RESTORED_S = 100.0
"""What was measured before a restart counts as so many seconds of computing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one GPU product did."""

    audio_s: float = 0.0
    compute_s: float = 0.0
    """Both fade together, so their quotient is a mean that follows the present."""
    num_requests: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """What to remember from one look to the next."""

    products: Mapping[str, Measured] = field(default_factory=dict)
    last_numbers: Mapping[str, int] = field(default_factory=dict)
    """The last request that was counted, by the epoch of its pod's process."""


def restored(rates: Mapping[str, float], *, prior: float = PRIOR) -> Memory:
    """Return the memory of who knows only the rates, by product, that were told last."""
    return Memory(
        {
            product: Measured(
                audio_s=max(0.0, one * (PRIOR_WEIGHT_S + RESTORED_S) - prior * PRIOR_WEIGHT_S),
                compute_s=RESTORED_S,
                num_requests=1,
            )
            for product, one in rates.items()
        }
    )


def learned(memory: Memory, reports: Iterable[tuple[str, LoadReport]]) -> Memory:
    """Return `memory` with what is new in `reports`, each given with its GPU product.

    A report repeats its last requests, and several routers may pass on the same
    one: each request counts once.
    """
    products, numbers = dict(memory.products), dict(memory.last_numbers)
    for product, report in reports:
        last = numbers.pop(report.epoch, -1)
        new = [one for one in report.timings if one.number > last]
        numbers[report.epoch] = max([last, *(one.number for one in new)])
        products[product] = _with(products.get(product, Measured()), new)
    kept = list(numbers.items())[-MAX_PODS:]
    return Memory(products, dict(kept))


def _with(measured: Measured, timings: Sequence[RequestTiming]) -> Measured:
    # A request whose clip was cached computes no window and would say nothing of
    # audio; what it costs shows in the pods' backlog.
    for one in timings:
        if one.num_windows and one.compute_s > 0:
            kept = exp(-one.compute_s / HORIZON_S)
            measured = replace(
                measured,
                audio_s=measured.audio_s * kept + one.num_windows * WINDOW_AUDIO_S,
                compute_s=measured.compute_s * kept + one.compute_s,
                num_requests=measured.num_requests + 1,
            )
    return measured


def rate(measured: Measured, *, prior: float = PRIOR) -> float:
    """Return audio seconds per second of one pod."""
    audio_s = prior * PRIOR_WEIGHT_S + measured.audio_s
    found = audio_s / (PRIOR_WEIGHT_S + measured.compute_s)
    return min(max(found, prior / CLAMP), prior * CLAMP)


def mean_rate(memory: Memory, num_pods: Mapping[str, int], *, prior: float = PRIOR) -> float:
    """Return the rate of a mean pod; `num_pods` counts the ready ones by GPU product."""
    total = sum(num_pods.values())
    if not total:
        known = [rate(one, prior=prior) for one in memory.products.values()]
        # What starts next may be the slowest product that there is.
        return min(known, default=prior)
    return (
        sum(
            num * rate(memory.products.get(product, Measured()), prior=prior)
            for product, num in num_pods.items()
        )
        / total
    )
