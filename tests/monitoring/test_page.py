"""The configurations in docs/monitoring.md."""

import json

import pytest
import yaml
from charts.helm import OPERATOR
from documents.selections import MONITORING
from monitoring import prometheus, scrape_configs
from monitoring.scrape_configs import Target

from flamingo_operator.api import names, spec
from flamingo_operator.manifests import common, pod_monitor

BLOCKS = {command.file: yaml.safe_load(command.text) for command in MONITORING.commands()}
LABELS = names.labels("music", "server")
TARGETS = [
    Target("127.0.0.1:9", "audio", "music-0", "server", labels=LABELS),
    Target(
        "127.0.0.2:9", "audio", "music-router-0", "router", labels=names.labels("music", "router")
    ),
]
OTHERS = [
    Target("127.0.0.3:9", "audio", "web-0", "web", labels={"app": "web"}),
    Target("127.0.0.4:9", "audio", "music-1", "server", port="debug", labels=LABELS),
]
OPERATOR_POD = Target(
    "127.0.0.5:9",
    "flamingo-system",
    "operator-0",
    "operator",
    labels={"app.kubernetes.io/component": "operator"},
)
SELECTING = ("namespace", "name", "pod", "container")
"""The labels that dashboards and alerts read."""


def test_the_page_has_all_configurations():
    assert BLOCKS.keys() == {
        "operator-values.yaml",
        "kube-prometheus-stack-values.yaml",
        "prometheus.yaml",
    }


@pytest.fixture
def targets(needs, tmp_path):
    """Return a function that returns the labels of the targets of scrape configurations."""
    program = needs("prometheus", install="Debian: apt install prometheus")

    def labels(*configs):
        num = sum(len(one["static_configs"]) for one in configs)
        with prometheus.running(program, scrape_configs.config(*configs), tmp_path) as running:
            found = [one["labels"] for one in running.wait_for_targets(num)]
        return [{name: one[name] for name in SELECTING if name in one} for one in found]

    return labels


def test_both_ways_to_scrape_give_the_labels_that_dashboards_select_by(targets):
    plain, of_operator = BLOCKS["prometheus.yaml"]["scrape_configs"]
    for config, found in ((plain, [*TARGETS, *OTHERS]), (of_operator, [OPERATOR_POD, *TARGETS])):
        del config["kubernetes_sd_configs"]
        config["static_configs"] = [one.discovered() for one in found]
    body = {"metadata": {"name": "music", "namespace": "audio"}, "spec": {"model": {"id": "a/b"}}}
    parsed = spec.parse({"apiVersion": "flamingo.dev/v1alpha1", "kind": names.KIND, **body})
    (monitor,) = common.without_empty(pod_monitor.pod_monitors(parsed))
    expected = targets(scrape_configs.of_pod_monitor(monitor, [*TARGETS, *OTHERS]))
    assert len(expected) == len(TARGETS)
    assert {one["name"] for one in expected} == {"music"}
    of_all = targets(plain, of_operator)
    assert sorted(map(json.dumps, of_all)) == sorted(
        json.dumps(one)
        for one in [
            *expected,
            {"namespace": "flamingo-system", "pod": "operator-0", "container": "operator"},
        ]
    )
    assert of_operator["honor_labels"] is True


def test_the_chart_takes_the_values_and_labels_what_prometheus_selects(helm):
    kinds = ("ServiceMonitor", "PrometheusRule")
    flags = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in kinds]
    rendered = helm.render(OPERATOR, BLOCKS["operator-values.yaml"], *flags)
    for kind in kinds:
        (made,) = (one for one in rendered if one["kind"] == kind)
        assert made["metadata"]["labels"]["release"] == "monitoring"
    maps = [one for one in rendered if one["kind"] == "ConfigMap"]
    assert len(maps) == 3
    for one in maps:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"]["grafana_folder"] == "Flamingo"


def test_the_stack_selects_monitors_of_all_releases_and_dashboards_of_all_namespaces():
    values = BLOCKS["kube-prometheus-stack-values.yaml"]
    assert set(values["prometheus"]["prometheusSpec"].values()) == {False}
    sidecar = values["grafana"]["sidecar"]["dashboards"]
    annotations = BLOCKS["operator-values.yaml"]["dashboards"]["annotations"]
    assert sidecar["folderAnnotation"] in annotations
