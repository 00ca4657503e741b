"""The Grafana dashboards in the operator's chart: current, complete, about metrics that exist.

Whether their queries return data, a real Prometheus decides in `tests/monitoring`.
"""

import functools
import itertools
import json
import re
import subprocess

import pytest
import write_dashboards
import yaml
from contract.packages import ROOT
from contract.test_metrics_page import registries
from grafana import DOCS
from monitoring import panels

from flamingo_operator.reporting.reasons import CONDITIONS

ALL = panels.dashboards()
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in ALL.items()
    for panel in panels.panels(dashboard)
]
QUERIES = panels.queries()
TARGET_LABELS = {"namespace", "name", "pod", "container", "job", "instance"}
"""Labels that Prometheus adds to all metrics of a pod."""
WINDOWS = {"$__rate_interval", "$__range", "$__range:$__interval", "1h"}
"""`$__rate_interval` is at least four scrapes."""


def test_the_files_are_what_the_program_writes():
    assert {path.name for path in write_dashboards.FOLDER.iterdir()} == {
        path.name for path in write_dashboards.files()
    }
    for path, text in write_dashboards.files().items():
        assert path.read_text(encoding="utf-8") == text, "run make charts"


def test_addresses_of_dashboards_stay_as_they_are():
    uids = {name: dashboard["uid"] for name, dashboard in ALL.items()}
    assert uids == {
        "fleet": "flamingo-fleet",
        "engine": "flamingo-engine",
        "operator": "flamingo-operator",
    }


@pytest.mark.parametrize("dashboard", ALL.values(), ids=ALL)
def test_a_dashboard_has_the_usual_variables_and_links_to_the_others(dashboard):
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert variables.keys() >= {"datasource", "namespace", "name"}
    for one in variables.values():
        if one["type"] == "query":
            assert (one["multi"], one["includeAll"], one["allValue"]) == (True, True, ".*")
    assert dashboard["tags"] == ["flamingo"]
    assert any(link["tags"] == ["flamingo"] for link in dashboard["links"] if "tags" in link)
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(dashboard)))
    assert used == variables.keys()


@pytest.mark.parametrize("dashboard", ALL.values(), ids=ALL)
def test_panels_do_not_overlap_and_have_their_own_ids(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        columns, lines = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        assert columns.stop <= 24
        cells = {*itertools.product(columns, lines)}
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_names_its_unit_and_series(panel):
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["noValue"]
    assert panel["datasource"]["uid"] == "${datasource}"
    if len(panel["targets"]) > 1:
        assert all(target["legendFormat"] != "__auto" for target in panel["targets"])


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_a_query_reads_long_enough_windows(query):
    assert set(re.findall(r"\[([^\]]*)\]", query.expr)) <= WINDOWS


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_a_ratio_without_requests_is_absent_and_not_nan(query):
    """Grafana shows NaN as it is, and what is absent by the words of the panel."""
    for divisor in re.findall(r" / (.*)", query.expr):
        assert re.match(r"\(.* > 0\)$|\d+$", divisor), query.expr


@functools.cache
def exported():
    """Return the labels of each series that our services export."""
    found = {}
    for registry in registries().values():
        known = {
            getattr(each, "_name", ""): getattr(each, "_labelnames", ())
            for each in registry._collector_to_names
        }
        for family in registry.collect():
            labels = {label for sample in family.samples for label in sample.labels}
            labels |= set(known.get(family.name) or getattr(family, "_labelnames", ()))
            suffixes = {
                "counter": ["_total"],
                "histogram": ["_bucket", "_sum", "_count"],
            }.get(family.type, [""])
            for suffix in suffixes:
                found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def test_queries_and_legends_name_metrics_and_labels_that_exist():
    series = exported()
    for query in QUERIES:
        names = set(re.findall(r"\b(?:flamingo|process)_\w+", query.expr))
        assert names <= series.keys(), query.id
        labels = set.union(TARGET_LABELS, *(series[name] for name in names))
        matched = re.findall(r"(\w+) ?(?:=~|!~|!=|=)\"", query.expr)
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", query.expr)
        wanted = {*matched, *(one for group in grouped for one in group.split(", "))}
        wanted |= set(re.findall(r"{{(\w+)}}", query.target["legendFormat"]))
        assert wanted <= labels, query.id


def test_a_query_without_a_fleet_is_about_the_operator_as_a_process():
    series = exported()
    for query in QUERIES:
        if "$namespace" not in query.expr:
            names = set(re.findall(r"\b(?:flamingo|process)_\w+", query.expr))
            assert any(name.startswith("flamingo_operator_") for name in names), query.id
            assert not {"namespace", "name"} & set.union(*(series[name] for name in names)), (
                query.id
            )


def test_timelines_show_all_conditions_with_the_colors_of_their_normal_state():
    shown = {}
    for query in QUERIES:
        if query.panel["type"] == "state-timeline":
            (types,) = re.findall(r'type=~"([^"]*)"', query.expr)
            mapping = query.panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
            green = next(one["text"] for one in mapping.values() if one["color"] == "green")
            shown |= dict.fromkeys(types.split("|"), green)
    assert shown == {name: one.normal for name, one in CONDITIONS.items()}


def test_promtool_parses_every_query(needs, tmp_path):
    promtool = needs("promtool", install="Debian: apt install prometheus")
    rules = [
        {"record": f"query:{number}", "expr": query.substituted()}
        for number, query in enumerate(QUERIES)
    ]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    command = [promtool, "check", "rules", "--lint=none", tmp_path / "rules.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_links_to_our_pages_are_below_the_address_of_the_charts():
    chart = yaml.safe_load((ROOT / "helm" / "flamingo" / "Chart.yaml").read_text("utf-8"))
    assert f"{chart['home']}/blob/main/docs" == DOCS


def test_the_runbooks_that_panels_link_to_are_those_of_alerts():
    urls = {link["url"] for param in PANELS for link in param.values[0]["links"]}
    alerts = (ROOT / "helm" / "flamingo-operator" / "files" / "alerts.yaml").read_text("utf-8")
    assert urls
    assert urls <= set(re.findall(r"runbook_url: (\S+)", alerts))
