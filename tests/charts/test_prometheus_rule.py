"""The PrometheusRule that the chart of the operator renders of its alerting rules."""

import pytest
import yaml
from charts.helm import OPERATOR, of_kind

API = ("--api-versions=monitoring.coreos.com/v1/PrometheusRule",)


def prometheus_rules(helm, **values):
    enabled = {"prometheusRule": {"enabled": True, **values}}
    objects = helm.render(OPERATOR, {"crds": {"install": False}, **enabled}, *API)
    return of_kind(objects, "PrometheusRule")


def test_the_prometheus_rule_has_the_rules_of_the_file(helm):
    found = prometheus_rules(helm, labels={"release": "kube-prometheus-stack"})
    assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert found["spec"] == yaml.safe_load((OPERATOR / "files/alerts.yaml").read_text())


def test_alerts_can_be_left_out_labelled_and_explained_elsewhere(helm):
    found = prometheus_rules(
        helm,
        disabledAlerts=["FlamingoImageOutdated"],
        ruleLabels={"team": "audio", "severity": "none"},
        runbookUrl="https://wiki.example.com/flamingo",
    )
    alerts = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
    alerts = {rule["alert"]: rule for rule in alerts if "alert" in rule}
    assert "FlamingoImageOutdated" not in alerts
    absent = alerts["FlamingoOperatorAbsent"]
    assert absent["labels"] == {"severity": "critical", "team": "audio"}
    page = "https://wiki.example.com/flamingo"
    assert absent["annotations"]["runbook_url"] == f"{page}#flamingooperatorabsent"


def test_objectives_are_values(helm):
    objectives = {"availability": 0.999, "firstTokenSeconds": {"0-30s": 1, "5m-20m": 60}}
    found = prometheus_rules(helm, objectives=objectives)
    rules = found["spec"]["groups"][0]["rules"]
    ratios = {
        rule["labels"]["sloth_slo"]: rule["expr"]
        for rule in rules
        if rule["record"] == "slo:objective:ratio"
    }
    assert ratios == {"availability": "vector(0.999)", "first-token": "vector(0.95)"}
    bounds = {
        rule["labels"]["clip_length"]: rule["labels"]["le"]
        for rule in rules
        if "clip_length" in rule.get("labels", {})
    }
    assert bounds == {
        "none": "2.5",
        "0-30s": "1.0",
        "30s-2m": "5.0",
        "2m-5m": "10.0",
        "5m-20m": "60.0",
    }


@pytest.mark.parametrize(
    ("objectives", "said"),
    [
        ({"availability": 99.9}, "/prometheusRule/objectives/availability"),
        ({"firstTokenSeconds": {"0-30s": 3}}, "/objectives/firstTokenSeconds/0-30s"),
        ({"firstTokenSeconds": {"20m+": 60}}, "20m+"),
    ],
)
def test_objectives_that_no_rule_could_check_are_refused(helm, objectives, said):
    values = {"prometheusRule": {"enabled": True, "objectives": objectives}}
    assert said in helm.refusal(OPERATOR, values, *API)
