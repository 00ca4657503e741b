"""The PodMonitor."""

import re

from control_plane.deployments import deployment
from control_plane.network_deployments import NETWORKED

from flamingo_operator.api import names, spec
from flamingo_operator.manifests import common, pod_monitor


def monitors(monitoring):
    found = pod_monitor.pod_monitors(spec.parse(deployment({"monitoring": monitoring})))
    return common.without_empty(found)


def test_it_has_the_labels_by_which_prometheus_selects_it():
    (made,) = monitors(NETWORKED["monitoring"])
    labels = made["metadata"]["labels"]
    assert labels["release"] == "kube-prometheus-stack"
    assert labels["flamingo.dev/deployment"] == "music"
    (endpoint,) = made["spec"]["podMetricsEndpoints"]
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("1m30s", "10s")
    assert made["spec"]["podTargetLabels"] == ["flamingo.dev/deployment", "team"]


def test_by_default_it_has_the_interval_of_prometheus_and_names_the_deployment():
    (made,) = monitors({})
    (endpoint,) = made["spec"]["podMetricsEndpoints"]
    assert {key: endpoint[key] for key in endpoint if key != "relabelings"} == {
        "port": "http",
        "path": "/metrics",
    }
    assert made["spec"]["podTargetLabels"] == ["flamingo.dev/deployment", "flamingo.dev/component"]


def test_metrics_of_pods_name_their_deployment_as_those_of_the_operator_do():
    for monitoring in ({}, {"podMonitor": {"podTargetLabels": ["team"]}}):
        (made,) = monitors(monitoring)
        (endpoint,) = made["spec"]["podMetricsEndpoints"]
        (relabeling,) = endpoint["relabelings"]
        assert relabeling["targetLabel"] == "name"
        (label,) = relabeling["sourceLabels"]
        assert label == "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", names.DEPLOYMENT_LABEL)


def test_it_can_be_switched_off():
    assert monitors({"podMonitor": {"enabled": False}}) == []
