"""The alerting and recording rules name what exists, and every alert is tested and explained."""

import re

import pytest
from contract.test_metrics_page import registries
from monitoring import rules

from flamingo_batches.metrics import OUTCOMES
from flamingo_common.audio import length_classes
from flamingo_common.errors import BY_CODE
from flamingo_common.wire.priority import Priority
from flamingo_operator.api.names import COMPONENTS
from flamingo_operator.diagnosis import causes
from flamingo_operator.reporting.reasons import CONDITIONS
from flamingo_operator.telemetry.fleet_metrics import REPLICAS
from flamingo_operator.telemetry.server_lifecycle import DRAIN_RESULTS
from flamingo_router.metrics import ERROR_SOURCES, LATENCY_BUCKETS_S
from flamingo_router.relay.relay import FailureReason

TARGET_LABELS = {"cluster", "namespace", "name", "pod", "job"}
"""Labels that Prometheus adds; `cluster` only where Thanos or Mimir does."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
VALUES = {
    "code": BY_CODE.keys(),
    "source": {*ERROR_SOURCES},
    "state": REPLICAS.keys(),
    "status": {"True", "False", "Unknown"},
    "component": {*COMPONENTS},
    "result": {*DRAIN_RESULTS},
    "outcome": {*OUTCOMES},
    "priority": {each.value for each in Priority},
    "clip_length": {*length_classes.CLIP_LENGTHS},
    "type": CONDITIONS.keys(),
    "sloth_service": {"flamingo"},
    "sloth_id": {"flamingo-availability", "flamingo-first-token"},
}
REASONS = {
    "flamingo_operator_failing_pods": {*causes.ORDER},
    "flamingo_operator_reconcile_errors_total": {"stale"},
    "flamingo_router_retries_total": {each.value for each in FailureReason},
}


@pytest.fixture(scope="module")
def exported():
    """Return each exported metric with its labels."""
    found = {}
    for registry in registries().values():
        labels = {
            getattr(each, "_name", ""): getattr(each, "_labelnames", ())
            for each in registry._collector_to_names
        }
        for family in registry.collect():
            own = labels.get(family.name) or getattr(family, "_labelnames", ())
            for suffix in SUFFIXES[family.type]:
                found[family.name + suffix] = {*own, *(["le"] if suffix == "_bucket" else [])}
    return found


def test_the_rules_read_metrics_that_are_exported_or_recorded(exported):
    read = set().union(*(rules.metrics_in(rule["expr"]) for rule in rules.RULES))
    assert read <= exported.keys() | rules.RECORDED


def test_the_rules_select_labels_and_values_that_exist(exported):
    for rule in rules.RULES:
        for matcher in rules.matchers_in(rule["expr"]):
            if matcher.label == "reason":
                assert matcher.values <= reasons(matcher.metric, rule["expr"]), matcher
                continue
            if matcher.metric in exported:
                assert matcher.label in exported[matcher.metric] | TARGET_LABELS, matcher
            if matcher.label != "route":  # a pattern
                assert matcher.values <= {*VALUES[matcher.label]}, matcher
                assert matcher.values, matcher


def reasons(metric, expr):
    """Return the reasons that a metric may have; of conditions, those of the types in `expr`."""
    if metric in REASONS:
        return REASONS[metric]
    kinds = set(re.findall(r'condition_reason\{type="(\w+)"', expr))
    return set().union(*(CONDITIONS[kind].reasons.keys() for kind in kinds))


def test_the_thresholds_of_the_first_token_are_buckets_and_cover_what_models_accept():
    found = {
        rule["labels"]["clip_length"]: rule["labels"]["le"]
        for rule in rules.RULES
        if rule.get("record") == "flamingo:first_token_threshold:bucket"
    }
    assert found.keys() == {*length_classes.CLIP_LENGTHS} - {length_classes.LONGER}
    assert {*found.values()} <= {str(float(each)) for each in LATENCY_BUCKETS_S}


def test_reasons_that_stall_a_fleet_belong_to_exactly_one_alert():
    stalled = [
        match
        for rule in rules.ALERTS
        for match in re.findall(
            r'type="Stalled", status="True",\s*reason=~?"([\w|]+)"', rule["expr"]
        )
    ]
    found = sorted(reason for match in stalled for reason in match.split("|"))
    of_type = CONDITIONS["Stalled"].reasons.items()
    assert found == sorted(name for name, reason in of_type if reason.status == "True")


def test_causes_of_failing_pods_belong_to_an_alert_of_their_own_or_to_the_general_one():
    by_alert = {
        rule["alert"]: {
            cause
            for matcher in rules.matchers_in(rule["expr"])
            if matcher.metric == "flamingo_operator_failing_pods" and matcher.label == "reason"
            for cause in matcher.values
        }
        for rule in rules.ALERTS
    }
    excluded = by_alert.pop("FlamingoPodsFailing")
    refused = {"QuotaExceeded", "WebhookUnavailable"}  # FlamingoObjectsRefused
    assert excluded == set().union(*by_alert.values()) | refused


@pytest.mark.parametrize("rule", rules.ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_it_is_and_what_to_do(rule):
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert all(re.search(rf"\b{label}\b", rule["expr"]) for label in used), used


def headings():
    """Return the headings of the runbooks as GitHub links to them, by their texts."""
    text = rules.RUNBOOKS.read_text(encoding="utf-8")
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {each: re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    anchors = headings()
    assert [each for each in anchors if each.startswith("Flamingo")] == list(
        dict.fromkeys(rule["alert"] for rule in rules.ALERTS)
    )
    for rule in rules.ALERTS:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page.endswith("/docs/runbooks.md")
        assert anchor == anchors[rule["alert"]]


@pytest.mark.parametrize("name", rules.NAMES)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name):
    about = [test for test in rules.unit_tests() if test.alert == name]
    assert any(name in test.firing for test in about)
    assert any(test.has_healthy or name not in test.firing for test in about)
    severities = {rule["labels"]["severity"] for rule in rules.ALERTS if rule["alert"] == name}
    expected = " ".join(test.file.read_text(encoding="utf-8") for test in about)
    found = re.findall(rf'alertname="{name}",[^}}]*severity="(\w+)"', expected)
    assert severities == {*found}
