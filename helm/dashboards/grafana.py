"""Grafana dashboards as plain JSON, in the classic schema that Grafana 10 and later import.

A dashboard is rows of panels, a panel is a title, a unit, queries, and a description. Everything
else follows: positions, ids, legends, variables and links.

Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]
DOCS: Final = "https://github.com/flamingo-fleet/flamingo-fleet/blob/main/docs"
SCHEMA_VERSION: Final = 39
"""Grafana 10.4's; later ones migrate it when they load it."""
COLUMNS: Final = 24
DATASOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
FLEET: Final = 'namespace=~"$namespace", name=~"$name"'
"""Selects the chosen fleets among the metrics of server pods, routers and the operator."""
USUAL: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
TAG: Final = "flamingo"
Step: TypeAlias = tuple[float | None, str]


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and the legend of its series."""

    expr: str
    legend: str = ""
    is_instant: bool = False
    """Only the current value, as a table or a stat over the whole range needs it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: what it shows, and what to do about it."""

    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    """Grafana's name of the unit."""
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    steps: Sequence[Step] = ()
    """Colors from a value on; the first value is None."""
    maximum: float | None = None
    is_stacked: bool = False
    decimals: int | None = None
    mappings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Texts and colors instead of values."""
    runbook: str = ""
    """The alert whose runbook the panel links to."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels under a title."""

    title: str
    panels: Sequence[Panel]
    is_collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard; `uid` never changes, because links and bookmarks contain it."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    pods: str = ""
    """The metric whose label `pod` the variable `$pod` offers; empty: no such variable."""

    def as_json(self) -> Json:
        """Return what Grafana imports."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "",
            "annotations": {"list": []},
            "links": [*_links()],
            "templating": {"list": [*_variables(self.pods)]},
            "panels": _placed(self.rows),
        }


def stat(panel: Panel) -> Panel:
    """Return the panel as one number, for the top of a dashboard."""
    return replace(panel, kind="stat", width=4, height=4)


def rate(metric: str, selector: str = FLEET, *, by: str = "") -> str:
    """Return the summed rate of a counter, by some labels."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{selector}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, selector: str = FLEET, *, by: str = "") -> str:
    """Return a quantile of a histogram, by some labels."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', selector, by=labels)})"


def quantiles(histogram: str, selector: str = FLEET) -> list[Query]:
    """Return the queries of the usual quantiles."""
    return [Query(quantile(share, histogram, selector), name) for name, share in USUAL.items()]


def mean(histogram: str, selector: str = FLEET, *, by: str = "") -> str:
    """Return the mean of a histogram, by some labels; nothing, not NaN, without observations."""
    total, number = (rate(f"{histogram}_{part}", selector, by=by) for part in ("sum", "count"))
    return f"{total} / ({number} > 0)"


def heatmap(histogram: str, selector: str = FLEET) -> list[Query]:
    """Return the query of a heatmap of a histogram."""
    return [
        Query(
            f"sum by (le) (increase({histogram}_bucket{{{selector}}}[$__rate_interval]))", "{{le}}"
        )
    ]


def _links() -> Iterator[Json]:
    yield {
        "type": "dashboards",
        "title": "Flamingo",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "icon": "external link",
    }
    for title, page in (("What the panels show", "monitoring.md"), ("Runbooks", "runbooks.md")):
        yield {
            "type": "link",
            "title": title,
            "url": f"{DOCS}/{page}",
            "targetBlank": True,
            "icon": "doc",
        }


KNOWN_BY: Final = (
    '{__name__=~"flamingo_build_info|flamingo_router_build_info|flamingo_operator_generation"%s}'
)
"""The metrics that every fleet has at least one of."""


def _variables(pods: str) -> Iterator[Json]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }
    fleets = ', name!=""'
    yield _label_variable("namespace", "Namespace", KNOWN_BY % fleets)
    yield _label_variable("name", "Fleet", KNOWN_BY % f'{fleets}, namespace=~"$namespace"')
    if pods:
        yield _label_variable("pod", "Pod", f"{pods}{{{FLEET}}}")


def _label_variable(name: str, label: str, selector: str) -> Json:
    query = f"label_values({selector}, {name})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "variable"},
        "definition": query,
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed(rows: Sequence[Row]) -> list[Json]:
    """Return the panels of all rows with their ids and positions."""
    placed: list[Json] = []
    top, next_id = 0, 1
    for row in rows:
        header = _row(row, next_id, top)
        panels = []
        left, bottom, top = 0, top + 1, top + 1
        for number, panel in enumerate(row.panels, next_id + 1):
            if left + panel.width > COLUMNS:
                left, top = 0, bottom
            position = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            panels.append(_panel(panel, number) | {"gridPos": position})
            left, bottom = left + panel.width, max(bottom, top + panel.height)
        next_id += 1 + len(panels)
        if row.is_collapsed:
            placed.append(header | {"panels": panels})
            top = header["gridPos"]["y"] + 1
        else:
            placed += [header, *panels]
            top = bottom
    return placed


def _row(row: Row, number: int, top: int) -> Json:
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": row.is_collapsed,
        "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        "panels": [],
    }


def _panel(panel: Panel, number: int) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [_target(query, panel, num) for num, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field_defaults(panel), "overrides": []},
        "links": [*_runbook_links(panel)],
        **_options(panel),
    }


def _runbook_links(panel: Panel) -> Iterator[Json]:
    if panel.runbook:
        url = f"{DOCS}/runbooks.md#{panel.runbook.lower()}"
        yield {"title": f"Runbook: {panel.runbook}", "url": url, "targetBlank": True}


def _target(query: Query, panel: Panel, number: int) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": query.is_instant,
        "range": not query.is_instant,
        "format": {"heatmap": "heatmap", "table": "table"}.get(panel.kind, "time_series"),
    }


def _field_defaults(panel: Panel) -> Json:
    defaults: Json = {"unit": panel.unit, "noValue": "none", "min": 0}
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    steps = panel.steps or ((None, "green"),)
    defaults["thresholds"] = {
        "mode": "absolute",
        "steps": [{"value": value, "color": color} for value, color in steps],
    }
    if panel.mappings:
        texts = {
            value: {"text": text, "color": color} for value, (text, color) in panel.mappings.items()
        }
        defaults |= {"mappings": [{"type": "value", "options": texts}], "min": None}
    if panel.kind == "timeseries":
        defaults["custom"] = _lines(panel)
    return defaults


def _lines(panel: Panel) -> Json:
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if panel.is_stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
    }


def _options(panel: Panel) -> Json:
    match panel.kind:
        case "stat":
            return {
                "options": {
                    "reduceOptions": {"calcs": ["lastNotNull"]},
                    "colorMode": "value",
                    "graphMode": "area",
                    "textMode": "auto",
                }
            }
        case "heatmap":
            return {
                "options": {
                    "calculate": False,
                    "yAxis": {"unit": panel.unit},
                    "color": {"mode": "scheme", "scheme": "Oranges"},
                    "cellGap": 1,
                    "tooltip": {"mode": "single"},
                }
            }
        case "table":
            hidden = dict.fromkeys(("Time", "Value", "__name__"), True)
            return {
                "options": {"showHeader": True},
                "transformations": [{"id": "organize", "options": {"excludeByName": hidden}}],
            }
        case "state-timeline":
            return {"options": {"showValue": "never", "mergeValues": True, "rowHeight": 0.8}}
        case _:
            return {
                "options": {
                    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                }
            }
