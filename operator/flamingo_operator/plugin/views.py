"""What the cluster said → what a terminal of 80 columns shows.

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flamingo_common.wire.report import LoadReport
from flamingo_operator.api import names, timestamps
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.plugin.spec_diff import FieldChange
from flamingo_operator.reporting.conditions import GOOD_WHEN_FALSE

Json: TypeAlias = Mapping[str, Any]

MAX_ACTIONS = 20
PHASES = {
    "scheduleSeconds": "schedule",
    "imagePullSeconds": "image",
    "fetchSeconds": "fetch",
    "loadSeconds": "load",
    "warmupSeconds": "warm-up",
}
UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A pod, and what could be learned about it."""

    pod: Json
    load: LoadReport | None = None
    gpu: str = "-"


def age(moment: str | None, *, now_s: float) -> str:
    """Return how long ago a moment was, in its largest unit, as kubectl does."""
    if not moment:
        return "-"
    seconds = max(0, int(now_s - timestamps.parse(moment)))
    size, unit = next((one for one in UNITS if seconds >= 2 * one[0]), UNITS[-1])
    return f"{seconds // size}{unit}"


def overview(deployments: Sequence[Json], *, now_s: float, is_everywhere: bool = False) -> Table:
    """Return one row for each deployment."""
    where = ("namespace",) if is_everywhere else ()
    table = _table(*where, "name", "ready", "reason", "up", "want", "age", "model")
    for one in deployments:
        status = one.get("status") or {}
        ready = _condition(status, "Ready")
        table.add_row(
            *(one["metadata"][column] for column in where),
            one["metadata"]["name"],
            _verdict(ready),
            str(ready.get("reason", "-")),
            str(status.get("readyReplicas", "-")),
            str(_wanted(one)),
            age(one["metadata"].get("creationTimestamp"), now_s=now_s),
            str(one["spec"]["model"]["id"]),
        )
    return table


def status(
    deployment: Json, pods: Sequence[Json], failures: Sequence[FailureCount], *, now_s: float
) -> RenderableType:
    """Return all about one deployment: what it is, what it claims, what fails and what to do."""
    told = deployment.get("status") or {}
    parts: list[RenderableType] = [_heading(deployment), _facts(deployment, pods, now_s)]
    if told.get("conditions"):
        parts += [Text(), _conditions(told["conditions"], now_s)]
    if failures:
        parts += [Text(), Text("what fails", "bold"), *_failures(failures, now_s)]
    if told.get("avoidedNodes"):
        parts += [Text(), Text("nodes that get no more servers", "bold"), *_avoided(told, now_s)]
    if not told:
        parts += [Text(), Text("no status yet: does the operator run?", "yellow")]
    return Group(*parts)


def _heading(deployment: Json) -> Text:
    ready = _condition(deployment.get("status") or {}, "Ready")
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    text = Text.assemble((name, "bold"), f" in {namespace}: ")
    if not ready:
        return text.append("not judged yet", "yellow")
    text.append("ready" if ready["status"] == "True" else "not ready", _style(ready))
    return text.append(f", {ready['reason']}")


def _facts(deployment: Json, pods: Sequence[Json], now_s: float) -> Table:
    spec, told = deployment["spec"], deployment.get("status") or {}
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    table.add_row("model", str(spec["model"]["id"]))
    if told.get("url"):
        table.add_row("url", str(told["url"]))
    table.add_row("servers", _servers(deployment, pods))
    table.add_row("scaling", _scaling(spec, told))
    for what, text in _figures(told, now_s):
        table.add_row(what, text)
    if spec.get("suspend"):
        table.add_row("suspended", "yes")
    progress = _condition(told, "Progressing")
    if progress:
        table.add_row("rollout", _joined(progress.get("reason"), progress.get("message")))
    return table


def _servers(deployment: Json, pods: Sequence[Json]) -> str:
    leaving = [pod for pod in pods if _is_leaving(pod)]
    staying = [pod for pod in pods if not _is_leaving(pod)]
    ready = [pod for pod in staying if _is_true(pod, "Ready")]
    placed = [pod for pod in staying if _is_true(pod, "PodScheduled")]
    counts = [
        (len(staying) - len(placed), "without a node"),
        (len(placed) - len(ready), "not ready"),
        (len(leaving), "leaving"),
    ]
    more = "".join(f", {num} {what}" for num, what in counts if num > 0)
    return f"{len(ready)} of {_wanted(deployment)} ready{more}"


def _scaling(spec: Json, told: Json) -> str:
    scaling, seen = spec.get("scaling") or {}, told.get("scaling") or {}
    if scaling.get("mode") != "Internal":
        return f"{spec.get('replicas', 1)} wanted, from outside"
    wanted = seen.get("desiredReplicas", "?")
    text = f"{wanted} wanted, of {scaling['minReplicas']} to {scaling['maxReplicas']}"
    last = (seen.get("history") or [{}])[-1]
    reason = _joined(
        seen.get("reason") or last.get("reason"), seen.get("message") or last.get("message")
    )
    bound = seen.get("bound")
    return _joined(text, reason) + (f" (kept by {bound})" if bound not in {None, "None"} else "")


def _figures(told: Json, now_s: float) -> Iterator[tuple[str, str]]:
    """Yield what is known of changes, capacity, starts and cost."""
    history = (told.get("scaling") or {}).get("history")
    if history:
        one = history[-1]
        ago = age(one["time"], now_s=now_s)
        yield "scaled", f"{ago} ago, {one['fromReplicas']} to {one['toReplicas']}: {one['message']}"
    if capacity := told.get("capacity"):
        yield "capacity", f"{capacity['audioSecondsPerSecond']} s of audio per second and server"
    if starts := told.get("coldStart"):
        usual, slow = starts["p50Seconds"], starts["p95Seconds"]
        parts = _parts(starts.get("phases") or {})
        yield "cold start", f"{usual} s, p95 {slow} s, of {starts['numStarts']} servers{parts}"
    if cost := told.get("cost"):
        more = cost.get("perAudioHour")
        each = f", {more} for an hour of audio at full use" if more else ""
        yield "cost", f"{cost['perHour']} {cost['currency']} per hour{each}"


def _parts(phases: Json) -> str:
    """Return the parts of a start that take time, the longest first."""
    took = sorted(phases.items(), key=lambda one: -one[1])
    told = [f"{PHASES[name]} {seconds} s" for name, seconds in took if seconds and name in PHASES]
    return f" ({', '.join(told)})" if told else ""


def _joined(*parts: Any) -> str:
    return ": ".join(str(part) for part in parts if part)


def _conditions(conditions: Iterable[Json], now_s: float) -> Table:
    table = _table("condition", "status", "since", "reason", "message", fold="message")
    for one in conditions:
        since = age(one.get("lastTransitionTime"), now_s=now_s)
        status = Text(str(one["status"]), _style(one))
        table.add_row(one["type"], status, since, one["reason"], one.get("message") or "")
    return table


def _failures(failures: Iterable[FailureCount], now_s: float) -> Iterator[RenderableType]:
    for one in failures:
        since = age(one.since, now_s=now_s)
        yield Text.assemble(
            (f"{one.count} ", "bold"),
            (one.reason, "bold red"),
            f" for {since}, such as {one.sample_pod}",
        )
        yield Padding(Text(one.message), (0, 0, 0, 4), expand=False)
        yield Padding(Text.assemble(("→ ", "green"), one.hint), (0, 0, 0, 4), expand=False)


def _avoided(told: Json, now_s: float) -> Iterator[RenderableType]:
    for one in told["avoidedNodes"]:
        since = age(one["since"], now_s=now_s)
        yield Text.assemble((one["node"], "bold"), " for ", since, ": ", (one["reason"], "red"))
        yield Padding(Text(one["message"]), (0, 0, 0, 4), expand=False)
        ends = "until it is booted anew" if one.get("bootID") else "for a day"
        told_by = f", or until the annotation {names.TRUSTED_NODES} names it"
        yield Padding(Text.assemble(("→ ", "green"), ends, told_by), (0, 0, 0, 4), expand=False)


def top(deployment: str, servers: Sequence[ServerRow], *, now_s: float) -> Table:
    """Return one row for each server: what it does, and how much it has to do."""
    table = _table("pod", "phase", "gpu")
    for name in ("backlog", "run", "wait", "kv", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in servers:
        table.add_row(
            str(one.pod["metadata"]["name"]).removeprefix(f"{deployment}-"),
            _phase(one),
            one.gpu.removeprefix("NVIDIA-"),
            *_load(one.load),
            age(one.pod["metadata"].get("creationTimestamp"), now_s=now_s),
        )
    return table


def _phase(server: ServerRow) -> Text:
    if _is_leaving(server.pod):
        return Text("leaving", "yellow")
    if not _is_true(server.pod, "PodScheduled"):
        return Text("no node", "red")
    if server.load is None:
        phase = str((server.pod.get("status") or {}).get("phase", "Unknown"))
        return Text("silent" if phase == "Running" else phase.lower(), "red")
    return Text(server.load.state, "green" if server.load.state == "ready" else "yellow")


def _load(load: LoadReport | None) -> tuple[str, str, str, str]:
    if load is None:
        return "-", "-", "-", "-"
    kv = "-"
    if load.num_kv_tokens and load.num_kv_tokens_used is not None:
        kv = f"{load.num_kv_tokens_used / load.num_kv_tokens:.0%}"
    return f"{load.backlog_s:.1f} s", str(load.num_running), str(load.num_waiting), kv


def plan(
    name: str, found: Sequence[FieldChange], effects: Iterable[str], actions: Sequence[str]
) -> RenderableType:
    """Return what a change of the spec does, which fields it changes, and what follows at once."""
    parts: list[RenderableType] = [Text(name, "bold")]
    parts += [Text(f"  {one}") for one in effects]
    if found:
        table = _table("field", "now", "then", fold="then")
        for one in found:
            table.add_row(one.path, Text(one.before, "red"), Text(one.after, "green"))
        parts += [Text(), table]
    if actions:
        parts += [Text(), Text("the operator would at first", "bold")]
        parts += [Text(f"  {one}") for one in actions[:MAX_ACTIONS]]
    if len(actions) > MAX_ACTIONS:
        parts += [Text(f"  and {len(actions) - MAX_ACTIONS} more")]
    return Group(*parts)


def _table(*columns: str, fold: str = "") -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        if name == fold:
            table.add_column(name, overflow="fold", ratio=1)
        else:
            table.add_column(name, overflow="fold")
    return table


def _wanted(deployment: Json) -> Any:
    spec, told = deployment["spec"], deployment.get("status") or {}
    if (spec.get("scaling") or {}).get("mode") == "Internal":
        return (told.get("scaling") or {}).get("desiredReplicas", "?")
    return spec.get("replicas", 1)


def _verdict(ready: Json) -> Text:
    return Text(str(ready.get("status", "-")), _style(ready))


def _style(condition: Json) -> str:
    if condition.get("status") not in {"True", "False"}:
        return "yellow"
    is_good = (condition["status"] == "True") != (condition["type"] in GOOD_WHEN_FALSE)
    return "green" if is_good else "red"


def _condition(told: Json, kind: str) -> Json:
    found: Sequence[Json] = told.get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})


def _is_true(pod: Json, kind: str) -> bool:
    return _condition(pod.get("status") or {}, kind).get("status") == "True"


def _is_leaving(pod: Json) -> bool:
    metadata = pod["metadata"]
    asked = (metadata.get("annotations") or {}).get(names.DRAIN_ANNOTATION)
    return bool(metadata.get("deletionTimestamp")) or asked == "true"
