"""Draw panels as SVG: what Grafana would show, as far as a page of documentation needs it.

Pure.
"""

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from monitoring.prometheus import Series

Panel = Mapping[str, Any]
COLUMN, LINE, GAP = 40, 27, 6
"""Pixels of a unit of Grafana's grid, and between panels."""
PALETTE = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2"]
PALETTE += ["#b07aa1", "#edc948", "#9c755f", "#ff9da7", "#bab0ac"]
NAMED = {"green": "#59a14f", "orange": "#f28e2b", "red": "#e15759", "text": "#9aa0a6"}
MAX_LEGENDS = 6
MAX_LABEL = 8
"""Characters beside an axis; a longer label has no unit."""
UNITS = {"s": "s", "reqps": "/s", "h": "h", "short": "", "percentunit": "%", "bytes": "B"}


@dataclass(frozen=True)
class Drawn:
    """A series with its legend."""

    legend: str
    series: Series


def row(panels: Sequence[Panel], data: Mapping[int, Sequence[Drawn]]) -> str:
    """Return an SVG with the panels of one row; `data` has the series by the panel's id."""
    top = min(panel["gridPos"]["y"] for panel in panels)
    lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) - top
    width, height = 24 * COLUMN, lines * LINE
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = 'font-family="sans-serif" font-size="11"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>',
    ]
    for panel in panels:
        at = panel["gridPos"]
        box = Box(
            at["x"] * COLUMN, (at["y"] - top) * LINE, at["w"] * COLUMN - GAP, at["h"] * LINE - GAP
        )
        parts += _panel(panel, data.get(panel["id"], ()), box)
    return "\n".join([*parts, "</svg>\n"])


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float

    def inner(self, left: float, top: float, right: float, bottom: float) -> "Box":
        return Box(
            self.x + left, self.y + top, self.width - left - right, self.height - top - bottom
        )


def _panel(panel: Panel, drawn: Sequence[Drawn], box: Box) -> Iterator[str]:
    yield _rect(box, "#ffffff", stroke="#d8d9da")
    yield _text(box.x + 8, box.y + 16, panel["title"], weight="bold")
    kinds = {
        "stat": _stat,
        "heatmap": _heatmap,
        "table": _table,
        "bargauge": _bars,
        "state-timeline": _timeline,
    }
    if not drawn:
        yield _text(box.x + box.width / 2, box.y + box.height / 2, "none", anchor="middle")
        return
    yield from kinds.get(panel["type"], _lines)(panel, drawn, box)


def _stat(panel: Panel, drawn: Sequence[Drawn], box: Box) -> Iterator[str]:
    value = drawn[0].series.last
    color = NAMED["green"]
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = NAMED[step["color"]]
    text = _number(value, _unit(panel), digits=3)
    if len(drawn) > 1:
        text = ", ".join(f"{_number(one.series.last, '', 3)} {one.legend}" for one in drawn)
    middle = box.x + box.width / 2, box.y + box.height / 2 + 16
    yield _text(*middle, text, anchor="middle", size=24, color=color)


def _lines(panel: Panel, drawn: Sequence[Drawn], box: Box) -> Iterator[str]:
    plot = box.inner(52, 28, 10, 22 + 14 * math.ceil(min(len(drawn), MAX_LEGENDS) / 2))
    is_stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    curves = [dict(one.series.points) for one in drawn]
    times = sorted({at for curve in curves for at in curve})
    if is_stacked:
        curves = _stacked(curves, times)
    top = max([0.0, *(value for curve in curves for value in curve.values())]) or 1.0
    top = panel["fieldConfig"]["defaults"].get("max") or top * 1.05
    yield from _axes(plot, times, top, _unit(panel))
    span = (times[-1] - times[0]) or 1.0
    colored = [(curve, PALETTE[num % len(PALETTE)]) for num, curve in enumerate(curves)]
    for curve, color in reversed(colored):
        points = [
            (plot.x + plot.width * (at - times[0]) / span, _height(plot, value / top))
            for at, value in curve.items()
        ]
        yield _curve(points, color, plot, is_filled=is_stacked)
    colors = [color for _, color in colored]
    yield from _legends([*zip((one.legend for one in drawn), colors, strict=True)], box)


def _stacked(
    curves: Sequence[Mapping[float, float]], times: Iterable[float]
) -> list[dict[float, float]]:
    below = dict.fromkeys(times, 0.0)
    sums = []
    for curve in curves:
        below = {at: value + curve.get(at, 0.0) for at, value in below.items()}
        sums.append(below)
    return sums


def _curve(points: Sequence[tuple[float, float]], color: str, plot: Box, *, is_filled: bool) -> str:
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2" fill="{color}"/>'
    path = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
    if not is_filled:
        return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.4"/>'
    bottom = plot.y + plot.height
    path += f" {points[-1][0]:.0f},{bottom:.1f} {points[0][0]:.0f},{bottom:.1f}"
    return f'<polygon points="{path}" fill="{color}"/>'


def _axes(plot: Box, times: Sequence[float], top: float, unit: str) -> Iterator[str]:
    for share in (0, 0.5, 1):
        y = _height(plot, share)
        yield (
            f'<line x1="{plot.x}" x2="{plot.x + plot.width}" y1="{y}" y2="{y}" stroke="#e3e4e5"/>'
        )
        label = _number(top * share, unit)
        label = label if len(label) <= MAX_LABEL else _number(top * share, "")
        yield _text(plot.x - 4, y + 4, label, anchor="end", color="#6e7175")
    yield from _time_axis(plot, times)


def _time_axis(plot: Box, times: Sequence[float]) -> Iterator[str]:
    for at, anchor in ((times[0], "start"), (times[-1], "end")):
        x = plot.x if anchor == "start" else plot.x + plot.width
        clock = dt.datetime.fromtimestamp(at, dt.UTC).strftime("%H:%M:%S")
        yield _text(x, plot.y + plot.height + 13, clock, anchor=anchor, color="#6e7175", size=10)


def _legends(legends: Sequence[tuple[str, str]], box: Box) -> Iterator[str]:
    shown = legends[:MAX_LEGENDS]
    if len(legends) > MAX_LEGENDS:
        num_more = len(legends) - MAX_LEGENDS + 1
        shown = [*legends[: MAX_LEGENDS - 1], (f"and {num_more} more", "none")]
    top = box.y + box.height - 14 * math.ceil(len(shown) / 2) + 6
    for number, (legend, color) in enumerate(shown):
        x = box.x + 10 + (number % 2) * (box.width - 10) / 2
        y = top + 14 * (number // 2)
        yield f'<rect x="{x:.0f}" y="{y - 7:.0f}" width="10" height="4" fill="{color}"/>'
        yield _text(x + 14, y, _shortened(legend, int(box.width / 2 / 6.2)), size=10)


def _heatmap(panel: Panel, drawn: Sequence[Drawn], box: Box) -> Iterator[str]:
    plot = box.inner(52, 28, 10, 24)
    buckets = sorted(drawn, key=lambda one: float(one.series.labels["le"]))
    times = sorted({at for one in buckets for at, _ in one.series.points})
    below: dict[float, float] = dict.fromkeys(times, 0.0)
    cells = []
    for line, one in enumerate(buckets):
        counts = dict(one.series.points)
        for column, at in enumerate(times):
            cells.append((column, line, max(counts.get(at, 0.0) - below[at], 0.0)))
        below |= counts
    most = max(count for _, _, count in cells) or 1.0
    width, height = plot.width / len(times), plot.height / len(buckets)
    for column, line, count in cells:
        if count > 0:
            x, y = plot.x + column * width, plot.y + plot.height - (line + 1) * height
            opacity = 0.15 + 0.85 * count / most
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
                f' fill="#d9630e" fill-opacity="{opacity:.2f}"/>'
            )
    step = math.ceil(len(buckets) / 7)
    for line in range(0, len(buckets), step):
        y = plot.y + plot.height - (line + 1) * height
        bound = _bound(buckets[line])
        yield _text(plot.x - 4, y + 8, bound, anchor="end", color="#6e7175", size=10)
    yield from _time_axis(plot, times)


def _bound(bucket: Drawn) -> str:
    bound = float(bucket.series.labels["le"])
    return "∞" if math.isinf(bound) else f"{bound:g}"


def _table(panel: Panel, drawn: Sequence[Drawn], box: Box) -> Iterator[str]:
    names = ("name", "type", "status", "reason")
    columns = [name for name in names if name in drawn[0].series.labels]
    widths = dict(zip(columns, (0.2, 0.25, 0.17, 0.38), strict=False))
    room = int((box.height - 40) / 15)
    rows = [{name: name for name in columns}, *(one.series.labels for one in drawn)]
    for number, labels in enumerate(rows[:room]):
        x = box.x + 8
        for name in columns:
            weight = "bold" if number == 0 else "normal"
            yield _text(x, box.y + 36 + 15 * number, labels[name], weight=weight, size=10)
            x += widths[name] * (box.width - 16)


def _bars(panel: Panel, drawn: Sequence[Drawn], box: Box) -> Iterator[str]:
    most = max(one.series.last for one in drawn) or 1.0
    height = min((box.height - 36) / len(drawn), 34)
    for number, one in enumerate(drawn):
        y = box.y + 30 + number * height
        width = (box.width - 190) * one.series.last / most
        yield _text(box.x + 90, y + height / 2 + 4, one.legend, anchor="end")
        yield _rect(Box(box.x + 96, y + 3, max(width, 1), height - 6), PALETTE[0])
        yield _text(box.x + 102 + width, y + height / 2 + 4, _number(one.series.last, _unit(panel)))


def _timeline(panel: Panel, drawn: Sequence[Drawn], box: Box) -> Iterator[str]:
    mapping = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    plot = box.inner(8 + 26 * 6, 28, 10, 24)
    times = sorted({at for one in drawn for at, _ in one.series.points})
    span, height = (times[-1] - times[0]) or 1.0, plot.height / len(drawn)
    for number, one in enumerate(drawn):
        y = plot.y + number * height
        legend = _shortened(one.legend, 28)
        yield _text(plot.x - 6, y + height / 2 + 4, legend, anchor="end", size=9)
        for since, until, value in _runs(one.series.points):
            x = plot.x + plot.width * (since - times[0]) / span
            width = max(plot.width * (until - since) / span, 2)
            color = NAMED[mapping[f"{value:g}"]["color"]]
            yield _rect(Box(x, y + 1, width, height - 2), color)
    yield from _time_axis(plot, times)


def _runs(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float, float]]:
    """Yield since when, until when, and with which value a state lasted."""
    since, current = points[0]
    for at, value in points:
        if value != current:
            yield since, at, current
            since, current = at, value
    yield since, points[-1][0], current


def _height(plot: Box, share: float) -> float:
    return round(plot.y + plot.height * (1 - min(share, 1.0)), 1)


def _unit(panel: Panel) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    return UNITS[unit] if unit in UNITS else " " + unit.removeprefix("suffix: ").lstrip()


def _number(value: float, unit: str, digits: int = 2) -> str:
    if unit == "%":
        return f"{100 * value:.{digits}g} %" if value < 1 else f"{100 * value:.0f} %"
    for bound, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.3g} {prefix}{unit}".strip()
    if unit == "s" and 0 < abs(value) < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.{max(digits, 3 if value >= 100 else 2)}g} {unit}".strip()


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _rect(box: Box, fill: str, stroke: str = "none") -> str:
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        f' fill="{fill}" stroke="{stroke}"/>'
    )


def _text(x: float, y: float, text: str, **style: object) -> str:
    names = {"weight": "font-weight", "size": "font-size", "anchor": "text-anchor", "color": "fill"}
    given = "".join(f' {names[name]}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{given}>{escape(text)}</text>'
