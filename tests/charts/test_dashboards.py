"""The dashboards in the operator's chart."""

from charts.helm import OPERATOR
from monitoring import panels


def test_they_reach_grafana_as_they_are(helm):
    labels = {"grafana_dashboard": "1", "release": "monitoring"}
    values = {"dashboards": {"enabled": True, "labels": labels}}
    found = {}
    for one in helm.render(OPERATOR, values):
        if one["kind"] == "ConfigMap" and one["metadata"]["labels"].get("grafana_dashboard") == "1":
            assert one["metadata"]["labels"]["release"] == "monitoring"
            found |= one["data"]
    files = {path.name: path.read_text("utf-8").strip() for path in panels.FOLDER.iterdir()}
    assert {name: text.strip() for name, text in found.items()} == files
    # The legends of Grafana have the braces of Helm's templates.
    assert all("{{" in text for text in files.values())


def test_without_the_switch_there_are_none(helm):
    rendered = helm.render(OPERATOR, {"dashboards": {"enabled": False}})
    assert not [one for one in rendered if one["kind"] == "ConfigMap"]
