"""Scrape configurations as the Prometheus operator makes them of our monitors.

Instead of asking the API server for targets, they have them, with the labels that service
discovery would give them: everything after that is what a cluster's Prometheus does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
INTERVAL = "1s"


@dataclass(frozen=True)
class Target:
    """A pod's port, and what is known of the pod."""

    address: str
    """Host and port."""
    namespace: str
    pod: str
    container: str
    port: str = "http"
    """The name of the port."""
    service: str = ""
    """The Service by which a ServiceMonitor finds it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels of the pod."""

    def discovered(self) -> Json:
        """Return the labels that `kubernetes_sd_configs` would give it."""
        found = {
            "__meta_kubernetes_namespace": self.namespace,
            "__meta_kubernetes_pod_name": self.pod,
            "__meta_kubernetes_pod_phase": "Running",
            "__meta_kubernetes_pod_container_name": self.container,
            "__meta_kubernetes_pod_container_port_name": self.port,
            "__meta_kubernetes_endpoint_port_name": self.port,
            "__meta_kubernetes_service_name": self.service,
        }
        for name, value in self.labels.items():
            found[f"__meta_kubernetes_pod_label_{_sanitized(name)}"] = value
            found[f"__meta_kubernetes_pod_labelpresent_{_sanitized(name)}"] = "true"
        return {"targets": [self.address], "labels": found}


def of_pod_monitor(monitor: Json, targets: Iterable[Target]) -> Json:
    """Return the scrape configuration of a PodMonitor."""
    metadata, spec = monitor["metadata"], monitor["spec"]
    selected = spec["selector"]["matchLabels"].items()
    found = [one for one in targets if selected <= one.labels.items()]
    (endpoint,) = spec["podMetricsEndpoints"]
    key = f"{metadata['namespace']}/{metadata['name']}"
    relabelings = [
        _replaced("__meta_kubernetes_namespace", "namespace"),
        _replaced("__meta_kubernetes_pod_container_name", "container"),
        _replaced("__meta_kubernetes_pod_name", "pod"),
        *_target_labels(spec.get("podTargetLabels", ())),
        {"target_label": "job", "replacement": key},
        {"target_label": "endpoint", "replacement": endpoint["port"]},
    ]
    return _scrape_config(f"podMonitor/{key}/0", endpoint, relabelings, found)


def of_service_monitor(monitor: Json, targets: Iterable[Target]) -> Json:
    """Return the scrape configuration of a ServiceMonitor."""
    metadata, spec = monitor["metadata"], monitor["spec"]
    (endpoint,) = spec["endpoints"]
    relabelings = [
        _replaced("__meta_kubernetes_namespace", "namespace"),
        _replaced("__meta_kubernetes_service_name", "service"),
        _replaced("__meta_kubernetes_pod_name", "pod"),
        _replaced("__meta_kubernetes_pod_container_name", "container"),
        _replaced("__meta_kubernetes_service_name", "job"),
        {"target_label": "endpoint", "replacement": endpoint["port"]},
    ]
    name = f"serviceMonitor/{metadata['namespace']}/{metadata['name']}/0"
    return _scrape_config(name, endpoint, relabelings, targets)


def config(*scrape_configs: Json, rule_files: Iterable[str] = ()) -> Json:
    """Return a whole configuration."""
    times = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": "1s"}
    return {
        "global": times,
        "scrape_configs": [*scrape_configs],
        "rule_files": [*rule_files],
    }


def _scrape_config(
    job: str, endpoint: Json, relabelings: list[Json], targets: Iterable[Target]
) -> Json:
    port = {
        "action": "keep",
        "source_labels": ["__meta_kubernetes_pod_container_port_name"],
        "regex": endpoint["port"],
    }
    return {
        "job_name": job,
        "honor_labels": endpoint.get("honorLabels", False),
        "metrics_path": endpoint["path"],
        "static_configs": [one.discovered() for one in targets],
        "relabel_configs": [port, *relabelings, *_own(endpoint.get("relabelings", ()))],
        "metric_relabel_configs": [*_own(endpoint.get("metricRelabelings", ()))],
    }


def _replaced(source: str, target: str) -> Json:
    return {"source_labels": [source], "target_label": target}


def _target_labels(names: Iterable[str]) -> Iterator[Json]:
    for name in names:
        source = f"__meta_kubernetes_pod_label_{_sanitized(name)}"
        yield _replaced(source, _sanitized(name)) | {"regex": "(.+)", "replacement": "${1}"}


def _own(relabelings: Iterable[Json]) -> Iterator[Json]:
    """Yield relabelings with the names of their fields in Prometheus' configuration."""
    for one in relabelings:
        yield {re.sub(r"([A-Z])", r"_\1", name).lower(): value for name, value in one.items()}


def _sanitized(label: str) -> str:
    return re.sub(r"\W", "_", label)
