"""The panels of the dashboards and their queries, as Grafana would send them to Prometheus."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "helm" / "flamingo-operator" / "dashboards"
VARIABLES = {
    "$namespace": ".*",
    "$name": ".*",
    "$pod": ".*",
    "$__rate_interval": "5m",
    "$__range": "5m",
    "$__interval_ms": "1000",
    "$__interval": "1s",
}
"""What Grafana puts in place of the variables; longer names first."""


@dataclass(frozen=True)
class PanelQuery:
    """One query of a panel."""

    dashboard: str
    panel: Mapping[str, Any]
    target: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Return where it is, for the names of tests."""
        return f"{self.dashboard}: {self.panel['title']} {self.target['refId']}"

    @property
    def expr(self) -> str:
        return self.target["expr"]

    def substituted(self, **values: str) -> str:
        """Return the expression without variables; `values` replace the usual ones."""
        expr = self.expr
        given = VARIABLES | {f"${name}": value for name, value in values.items()}
        for name in sorted(given, key=len, reverse=True):
            expr = expr.replace(name, given[name])
        return expr


def dashboards() -> dict[str, Any]:
    """Return the dashboards by the names of their files."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*"))}


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the panels of a dashboard, also those of collapsed rows, without the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def queries() -> list[PanelQuery]:
    """Return the queries of all panels."""
    return [
        PanelQuery(name, panel, target)
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]
