"""What was seen and decided → what the status says of scaling, capacity, starts and cost.

Pure.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from flamingo_operator.api import timestamps
from flamingo_operator.api.scaling_status import (
    CapacityStatus,
    ColdStartStatus,
    CostStatus,
    PhasesStatus,
    ProductStatus,
    ScalingChange,
    ScalingStatus,
)
from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster import cold_start
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.scaling.autoscale import Change
from flamingo_operator.scaling.replicas import Desired

Json: TypeAlias = Mapping[str, Any]

MAX_PRODUCTS = 32


def scaling(desired: Desired) -> ScalingStatus:
    """Return how many servers are wanted, and why."""
    told = desired.told
    if told is None:
        return ScalingStatus(desired_replicas=desired.num)
    return ScalingStatus(
        desired_replicas=desired.num,
        reason=told.reason,
        bound=told.bound,
        message=told.message,
        history=[_change(one) for one in desired.history],
    )


def _change(change: Change) -> ScalingChange:
    return ScalingChange(
        time=timestamps.encode(change.at_s),
        from_replicas=change.before,
        to_replicas=change.after,
        reason=change.reason,
        message=change.message,
    )


def capacity(desired: Desired) -> CapacityStatus | None:
    """Return what servers take; None before it was measured."""
    rates = sorted(desired.memory.rates.items())[:MAX_PRODUCTS]
    if not rates:
        return None
    products = [
        ProductStatus(product=one, audio_seconds_per_second=_two(rate)) for one, rate in rates
    ]
    # The slowest: what is promised of a fleet whose next server may be any of them.
    return CapacityStatus(
        audio_seconds_per_second=_two(min(rate for _, rate in rates)), per_product=products
    )


def cold_starts(spec: Spec, observed: Observed, old: Json) -> ColdStartStatus | None:
    """Return how long the servers that are up took to become ready; `old` is what was told."""
    longest_s = spec.server.startup_deadline_seconds
    seen = (pod.start for pod in observed.pods if pod.is_active)
    # Ready again after a fault, as somebody sees it who has not seen the first time, is no start.
    summary = cold_start.summarize([one for one in seen if one and one.total_s <= longest_s])
    if summary is None:
        return None
    mean = summary.mean
    told = ColdStartStatus(
        num_starts=summary.num_starts,
        p50_seconds=round(summary.p50_s),
        p95_seconds=round(summary.p95_s),
        phases=PhasesStatus(
            schedule_seconds=round(mean.schedule_s),
            image_pull_seconds=round(mean.image_pull_s),
            fetch_seconds=round(mean.fetch_s) if mean.is_split else None,
            load_seconds=round(mean.load_s),
            warmup_seconds=round(mean.warm_s) if mean.is_split else None,
        ),
    )
    return told if mean.is_split else _as_before(told, old)


def _as_before(told: ColdStartStatus, old: Json) -> ColdStartStatus:
    """Return what was told before of the same starts: an operator that begins knows less."""
    if not old:
        return told
    before = ColdStartStatus.model_validate(old)
    return before if before.model_copy(update={"phases": told.phases}) == told else told


def cost(spec: Spec, observed: Observed, desired: Desired) -> CostStatus | None:
    """Return what the servers cost; None where no price is given."""
    if spec.cost is None:
        return None
    price = Decimal(spec.cost.gpu_per_hour)
    num = sum(bool(pod.node) and not pod.is_finished for pod in observed.pods)
    told = capacity(desired)
    rate = Decimal(told.audio_seconds_per_second) if told else None
    return CostStatus(
        per_hour=f"{price * num:.2f}",
        per_audio_hour=f"{price / rate:.4f}" if rate else None,
        currency=spec.cost.currency,
    )


def _two(figure: float) -> str:
    """Return a figure to two digits that count, without an exponent."""
    return f"{float(f'{figure:.2g}'):g}"
