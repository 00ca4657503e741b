"""Metrics of each FlamingoDeployment, read from its status at every scrape.

A thousand deployments are 20,000 samples. Kept as gauges they would take 10 MB.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Status: TypeAlias = Mapping[str, Any]
Sample: TypeAlias = tuple[str, tuple[str, ...], float]
"""The metric's name without prefix, the values of its own labels, and its value."""

PREFIX: Final = "flamingo_operator_"
REPLICAS: Final = {
    "ready": "readyReplicas",
    "pending": "pendingReplicas",
    "loading": "loadingReplicas",
    "draining": "drainingReplicas",
    "updated": "updatedReplicas",
}
"""The label's value, and the status field that it shows."""
OUTDATED: Final = {"server": "outdatedReplicas", "router": "outdatedRouterReplicas"}
COSTS: Final = {"cost_per_hour": "perHour", "cost_per_audio_hour": "perAudioHour"}
"""The metric, and the field of `status.cost` that it shows."""
EXPLAINED: Final = ("Ready", "Degraded", "Accepted", "Stalled", "Exposed")
"""The types of conditions whose reasons are exported; those of the others follow from them."""
CONDITION_VALUES: Final = {"True": 1, "False": 0, "Unknown": -1}
LABELS: Final = ("namespace", "name")
METRICS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "replicas": ("Server pods, by state.", ("state",)),
    "desired_replicas": ("Desired number of server pods.", ()),
    "outdated_pods": (
        "Pods whose image is the default of another release of the operator.",
        ("component",),
    ),
    "failing_pods": (
        "Failing or missing pods, by cause; the status lists the same causes.",
        ("component", "reason"),
    ),
    "reserve_replicas": ("How many of the desired server pods are in reserve.", ()),
    "avoided_nodes": ("Nodes that no server pod is placed on, because a GPU there failed.", ()),
    "condition": ("Status of a condition: 1 if True, 0 if False, -1 if Unknown.", ("type",)),
    "condition_reason": (
        "Always 1; the reason of the conditions Ready, Degraded, Accepted, Stalled and Exposed.",
        ("type", "status", "reason"),
    ),
    "cost_per_hour": (
        "Cost per hour of the GPUs that server pods have now, at the price in spec.cost.",
        ("currency",),
    ),
    "cost_per_audio_hour": (
        "Cost of one hour of audio, at the measured capacity and full utilization.",
        ("currency",),
    ),
    "generation": ("metadata.generation, the version of the spec.", ()),
    "observed_generation": ("The generation that the status is about; -1 before the first.", ()),
}


class FleetMetrics(Collector):
    """A collector that reads each deployment's key, generation and status from `statuses`.

    `collect` is called from another thread.
    """

    def __init__(self) -> None:
        self.statuses: Callable[[], Iterable[tuple[str, int, Status]]] = tuple

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics without samples."""
        return _families().values()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics."""
        families = _families()
        for key, generation, status in self.statuses():
            labels = key.split("/")
            for metric, own, value in _samples(generation, status):
                families[metric].add_metric([*labels, *own], value)
        return families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        name: GaugeMetricFamily(PREFIX + name, text, labels=[*LABELS, *own])
        for name, (text, own) in METRICS.items()
    }


def _samples(generation: int, status: Status) -> Iterator[Sample]:
    """Yield the samples of one deployment."""
    yield "generation", (), generation
    yield "observed_generation", (), status.get("observedGeneration", -1)
    for one in status.get("conditions", ()):
        yield "condition", (one["type"],), CONDITION_VALUES[one["status"]]
        if one["type"] in EXPLAINED:
            yield "condition_reason", (one["type"], one["status"], one["reason"]), 1
    for failure in status.get("failures", ()):
        place = failure.get("component", "server"), failure["reason"]
        yield "failing_pods", place, failure["count"]
    yield from _cost_samples(status.get("cost", {}))
    if "desiredReplicas" in status.get("scaling", {}):  # its pods were counted
        yield from _pod_samples(status)


def _cost_samples(cost: Status) -> Iterator[Sample]:
    for metric, field in COSTS.items():
        if field in cost:
            yield metric, (cost["currency"],), float(cost[field])


def _pod_samples(status: Status) -> Iterator[Sample]:
    for state, field in REPLICAS.items():
        yield "replicas", (state,), status.get(field, 0)
    for component, field in OUTDATED.items():
        yield "outdated_pods", (component,), status.get(field, 0)
    yield "desired_replicas", (), status["scaling"]["desiredReplicas"]
    yield "reserve_replicas", (), status["scaling"].get("reserveReplicas", 0)
    yield "avoided_nodes", (), len(status.get("avoidedNodes", ()))
