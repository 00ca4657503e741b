"""A real Prometheus answers every query of every panel about our services after requests."""

import json

import pytest
from monitoring import panels, services

POD = 'namespace="audio",name="music",pod="music-0"'
BATCHES = 'namespace="audio",name="music",pod="music-batches-0"'
EXCEPTIONS = {
    "engine: GPU memory A": (f'flamingo_device_memory_bytes{{{POD},use="reserved"}}', "7x20"),
    "fleet: Lines sent again by reason A": (
        f'flamingo_batches_retries_total{{{BATCHES},code="overloaded"}}',
        "0+60x20",
    ),
    "fleet: Retries by reason A": (
        f'flamingo_router_retries_total{{{POD},reason="lost"}}',
        "0+60x20",
    ),
}
"""What has no data in a healthy fleet without a GPU, with a series by which it has."""
QUERIES = panels.queries()


def test_the_selectors_of_queries_find_the_fleet(scraped):
    for target in scraped.targets():
        assert target["health"] == "up", target
    (pod,) = scraped.query(f'flamingo_ready{{name="{services.FLEET}"}} * 0 + 1')[:1]
    assert pod.labels["namespace"] == services.NAMESPACE
    assert pod.labels["pod"]
    (fleet,) = scraped.query(f'flamingo_operator_desired_replicas{{name="{services.FLEET}"}}')
    # Not that of the operator's pod, which honorLabels prevents.
    assert fleet.labels["namespace"] == services.NAMESPACE


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_a_query_returns_data(scraped, query):
    chosen = {"namespace": services.NAMESPACE, "name": f"{services.FLEET}|{services.FAILING}"}
    expr = query.substituted(**chosen)
    assert bool(scraped.query(expr)) == (query.id not in EXCEPTIONS), expr


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_a_query_about_another_fleet_returns_nothing_of_this_one(scraped, query):
    if "$name" in query.expr:
        found = scraped.query(query.substituted(name="another"))
        assert not found or all(not one.last for one in found)


def test_variables_offer_the_fleets_and_their_pods(scraped):
    offered = {}
    for dashboard in panels.dashboards().values():
        for one in dashboard["templating"]["list"]:
            if one["type"] == "query":
                selector, _, label = one["definition"].removesuffix(")").rpartition(", ")
                expr = selector.removeprefix("label_values(")
                for name in ("$namespace", "$name"):
                    expr = expr.replace(name, ".*")
                found = scraped.query(expr)
                offered[label] = {series.labels.get(label) for series in found}
    assert offered["namespace"] == {services.NAMESPACE}
    assert offered["name"] == {services.FLEET, services.FAILING}
    assert len(offered["pod"]) == services.NUM_SERVERS


@pytest.mark.parametrize("place", EXCEPTIONS)
def test_what_a_healthy_fleet_has_no_data_of_has_data_otherwise(place, promtool, tmp_path):
    (query,) = (one for one in QUERIES if one.id == place)
    series, values = EXCEPTIONS[place]
    sample = f"count({query.substituted()})"
    test = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values}],
        "promql_expr_test": [
            {"expr": sample, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": 1}]}
        ],
    }
    (tmp_path / "test.json").write_text(json.dumps({"rule_files": [], "tests": [test]}))
    returncode, output = promtool("test", "rules", tmp_path / "test.json")
    assert returncode == 0, output
