"""The parts of the status about scaling, capacity, cold starts and cost.

Pure.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from pydantic import ValidationError

from flamingo_operator.api import quantity, timestamps
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
from flamingo_operator.scaling.autoscale import ReplicaChange
from flamingo_operator.scaling.replicas import DesiredReplicas

Json: TypeAlias = Mapping[str, Any]

MAX_PRODUCTS = 32


def scaling_status(desired: DesiredReplicas) -> ScalingStatus:
    """Return how many replicas are desired, and why."""
    reported = desired.reported
    if reported is None:
        return ScalingStatus(desired_replicas=desired.num)
    return ScalingStatus(
        desired_replicas=desired.num,
        reason=reported.reason,
        bound=reported.bound,
        message=reported.message,
        reserve_replicas=reported.reserve or None,
        history=[_scaling_change(one) for one in desired.history],
    )


def _scaling_change(change: ReplicaChange) -> ScalingChange:
    return ScalingChange(
        time=timestamps.encode(change.at_s),
        from_replicas=change.before,
        to_replicas=change.after,
        reason=change.reason,
        message=change.message,
    )


def capacity_status(desired: DesiredReplicas) -> CapacityStatus | None:
    """Return what a pod can process; None before it was measured."""
    rates = sorted(desired.state.rates.items())[:MAX_PRODUCTS]
    if not rates:
        return None
    products = [
        ProductStatus(product=one, audio_seconds_per_second=_two_digits(rate))
        for one, rate in rates
    ]
    # The slowest product's: the next pod may start on any of them.
    return CapacityStatus(
        audio_seconds_per_second=_two_digits(min(rate for _, rate in rates)),
        per_product=products,
    )


def cold_start_status(spec: Spec, observed: Observed, previous: Json) -> ColdStartStatus | None:
    """Return how long the ready pods took to start; `previous` is the current block."""
    longest_s = spec.server.startup_deadline_seconds
    starts = (pod.start for pod in observed.pods if pod.is_active)
    # A pod that is ready again after a failure looks like a very long start, but is not one.
    summary = cold_start.summarize([one for one in starts if one and one.total_s <= longest_s])
    if summary is None:
        return None
    mean = summary.mean
    new = ColdStartStatus(
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
    return new if mean.is_split else _more_detailed(new, previous)


def _more_detailed(new: ColdStartStatus, previous: Json) -> ColdStartStatus:
    """Return the previous block if it is about the same starts, as it has their phases."""
    if not previous:
        return new
    try:
        before = ColdStartStatus.model_validate(previous, extra="ignore")
    except ValidationError:
        return new  # another release wrote it, or the CRD of another release pruned it
    return before if before.model_copy(update={"phases": new.phases}) == new else new


def cost_status(spec: Spec, observed: Observed, desired: DesiredReplicas) -> CostStatus | None:
    """Return what the pods cost; None if the spec has no price."""
    if spec.cost is None:
        return None
    price = quantity.parse(spec.cost.gpu_per_hour)
    capacity = capacity_status(desired)
    rate = Decimal(capacity.audio_seconds_per_second) if capacity else None
    return CostStatus(
        per_hour=f"{price * num_gpus(spec, observed):.2f}",
        per_audio_hour=f"{price * spec.gpu.count / rate:.4f}" if rate else None,
        currency=spec.cost.currency,
    )


def num_gpus(spec: Spec, observed: Observed) -> int:
    """Return the number of GPUs that server pods have now."""
    num_placed = sum(bool(pod.node) and not pod.is_finished for pod in observed.pods)
    return num_placed * spec.gpu.count


def _two_digits(figure: float) -> str:
    """Return a figure with two significant digits, without an exponent."""
    return f"{float(f'{figure:.2g}'):g}"
