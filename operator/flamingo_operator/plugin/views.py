"""What the commands print, for a terminal of 80 columns.

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
from flamingo_operator.reporting import reasons

Json: TypeAlias = Mapping[str, Any]

PHASES = {
    "scheduleSeconds": "schedule",
    "imagePullSeconds": "image pull",
    "fetchSeconds": "fetch",
    "loadSeconds": "load",
    "warmupSeconds": "warm-up",
}
LONG_MESSAGE_CHARS = 80
"""A message that takes more than a line of a terminal is shown once."""
UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server pod, and what is known about it."""

    pod: Json
    load: LoadReport | None = None
    gpu: str = "-"


def age(timestamp: str | None, *, now_s: float) -> str:
    """Return how long ago a time was, in its largest unit, as kubectl does."""
    if not timestamp:
        return "-"
    seconds = max(0, int(now_s - timestamps.parse(timestamp)))
    size, unit = next((one for one in UNITS if seconds >= 2 * one[0]), UNITS[-1])
    return f"{seconds // size}{unit}"


def overview(
    deployments: Sequence[Json], *, now_s: float, all_namespaces: bool = False
) -> RenderableType:
    """Return one row for each deployment, in the columns of `kubectl get`."""
    namespace = ("namespace",) if all_namespaces else ()
    table = new_table(*namespace, "name", "desired", "ready", "available", "reason", "age", "model")
    for one in deployments:
        status = one.get("status") or {}
        ready = _condition(status, "Ready")
        table.add_row(
            *(one["metadata"][column] for column in namespace),
            one["metadata"]["name"],
            str(desired_replicas(one)),
            str(status.get("readyReplicas", "-")),
            Text(str(ready.get("status", "-")), _style(ready)),
            str(ready.get("reason", "-")),
            age(one["metadata"].get("creationTimestamp"), now_s=now_s),
            str(one["spec"]["model"]["id"]),
        )
    return table


def _summary(ready: Json) -> str:
    """Return the condition Ready in one word, as `kubectl get nodes` does."""
    return {"True": "Ready", "False": "NotReady"}.get(ready.get("status", ""), "Unknown")


def status(
    deployment: Json, pods: Sequence[Json], failures: Sequence[FailureCount], *, now_s: float
) -> RenderableType:
    """Return the details of one deployment, why its pods fail, and what to do about it."""
    reported = deployment.get("status") or {}
    parts: list[RenderableType] = [_heading(deployment), _facts(deployment, pods, now_s)]
    if reported.get("conditions"):
        parts += [Text(), _conditions(reported["conditions"], now_s)]
    if failures:
        parts += [Text(), Text("Failures", "bold"), *_failures(failures, now_s)]
    if reported.get("avoidedNodes"):
        nodes = _avoided_nodes(reported["avoidedNodes"], now_s)
        parts += [Text(), Text("Avoided nodes", "bold"), *nodes]
    if not reported:
        parts += [Text(), Text("No status reported yet; is the operator running?", "yellow")]
    return Group(*parts)


def _heading(deployment: Json) -> Text:
    ready = _condition(deployment.get("status") or {}, "Ready")
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    text = Text.assemble(f"{namespace}/", (name, "bold"), ": ")
    text.append(_summary(ready), _style(ready))
    return text.append(f" ({ready['reason']})") if ready else text


def _facts(deployment: Json, pods: Sequence[Json], now_s: float) -> Table:
    spec, reported = deployment["spec"], deployment.get("status") or {}
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    table.add_row("Model", str(spec["model"]["id"]))
    if reported.get("url"):
        table.add_row("URL", str(reported["url"]))
    if reported.get("addresses"):
        found = dict.fromkeys(str(one["value"]) for one in reported["addresses"])
        table.add_row("Addresses", ", ".join(found))
    table.add_row("Server pods", _pod_counts(deployment, pods))
    table.add_row("Scaling", _scaling(spec, reported))
    for label, text in _figures(reported, now_s):
        table.add_row(label, text)
    if spec.get("suspend"):
        table.add_row("Suspended", "yes")
    if spec.get("paused"):
        message = (reported.get("plan") or {}).get("message", "not known yet")
        table.add_row("Paused", f"would do: {message}")
    progress = _condition(reported, "Progressing")
    if progress:
        table.add_row("Rollout", _joined(progress.get("reason"), progress.get("message")))
    if reported.get("plan"):
        table.add_row("Plan", str(reported["plan"]["message"]))
    return table


def _pod_counts(deployment: Json, pods: Sequence[Json]) -> str:
    active = [pod for pod in pods if not _is_draining(pod)]
    ready = [pod for pod in active if _is_true(pod, "Ready")]
    scheduled = [pod for pod in active if _is_true(pod, "PodScheduled")]
    counts = [
        (len(active) - len(scheduled), "unscheduled"),
        (len(scheduled) - len(ready), "not ready"),
        (len(pods) - len(active), "draining"),
    ]
    others = "".join(f", {num} {what}" for num, what in counts if num > 0)
    return f"{len(ready)} of {desired_replicas(deployment)} ready{others}"


def _scaling(spec: Json, reported: Json) -> str:
    scaling, current = spec.get("scaling") or {}, reported.get("scaling") or {}
    if scaling.get("mode") != "Internal":
        num = spec.get("replicas", 1)
        return f"{num} replica{'' if num == 1 else 's'}, set in spec.replicas"
    desired = current.get("desiredReplicas", "?")
    limits = f"min {scaling['minReplicas']}, max {scaling['maxReplicas']}"
    text = f"{desired} replicas desired ({limits})"
    last = (current.get("history") or [{}])[-1]
    reason = _joined(
        current.get("reason") or last.get("reason"), current.get("message") or last.get("message")
    )
    bound = current.get("bound")
    limited = f", limited by {bound}" if bound not in {None, "None"} else ""
    reserve = f", {current['reserveReplicas']} in reserve" if "reserveReplicas" in current else ""
    return "; ".join(part for part in (text + reserve + limited, reason) if part)


def _figures(reported: Json, now_s: float) -> Iterator[tuple[str, str]]:
    """Yield what is known of the last change, capacity, cold starts and cost."""
    history = (reported.get("scaling") or {}).get("history")
    if history:
        one = history[-1]
        since = age(one["time"], now_s=now_s)
        change = f"from {one['fromReplicas']} to {one['toReplicas']}"
        yield "Last scaled", f"{since} ago, {change}: {one['message']}"
    if capacity := reported.get("capacity"):
        yield "Capacity", f"{capacity['audioSecondsPerSecond']} s of audio per second per pod"
    if starts := reported.get("coldStart"):
        p50, p95 = starts["p50Seconds"], starts["p95Seconds"]
        phases = _phases(starts.get("phases") or {})
        num = starts["numStarts"]
        pods = f"{num} pod{'' if num == 1 else 's'}"
        yield "Cold start", f"p50 {p50} s, p95 {p95} s, {pods}{phases}"
    if cost := reported.get("cost"):
        currency, per_audio_hour = cost["currency"], cost.get("perAudioHour")
        more = f", {per_audio_hour} {currency} per hour of audio at full utilization"
        yield "Cost", f"{cost['perHour']} {currency} per hour{more if per_audio_hour else ''}"


def _phases(phases: Json) -> str:
    """Return the phases of a cold start that take time, the longest first."""
    by_length = sorted(phases.items(), key=lambda one: -one[1])
    texts = [
        f"{PHASES[name]} {seconds} s" for name, seconds in by_length if seconds and name in PHASES
    ]
    return f" ({', '.join(texts)})" if texts else ""


def _joined(*parts: Any) -> str:
    return ": ".join(str(part) for part in parts if part)


def _conditions(conditions: Sequence[Json], now_s: float) -> Table:
    table = new_table("condition", "status", "age", "reason", "message", fold="message")
    rollout = next((one.get("message") for one in conditions if one["type"] == "Progressing"), None)
    for one in conditions:
        since = age(one.get("lastTransitionTime"), now_s=now_s)
        value = Text(str(one["status"]), _style(one))
        message = one.get("message") or ""
        if message == rollout and len(message) > LONG_MESSAGE_CHARS:
            message = "see Rollout"  # the facts above have it
        table.add_row(one["type"], value, since, one["reason"], message)
    return table


def _failures(failures: Iterable[FailureCount], now_s: float) -> Iterator[RenderableType]:
    for one in failures:
        since = f" for {age(one.since, now_s=now_s)}" if one.since else ""
        pods = f"{one.count} {one.component} {'pod' if one.count == 1 else 'pods'}"
        pods += f", for example {one.sample_pod}" if one.sample_pod else " not created"
        yield Text.assemble((one.reason, "bold red"), f"{since}: {pods}")
        yield indented(Text(one.message))
        yield indented(Text.assemble(("→ ", "green"), one.hint))


def reported_failures(deployment: Json) -> list[FailureCount]:
    """Return the failures that only the operator knows: of other pods, and of missing ones."""
    reported = (deployment.get("status") or {}).get("failures") or ()
    return [
        FailureCount(
            reason=one["reason"],
            count=one["count"],
            sample_pod=one.get("samplePod", ""),
            message=one["message"],
            hint=one["hint"],
            since=one.get("since"),
            component=one.get("component", "server"),
        )
        for one in reported
        if one.get("component") != "server" or not one.get("samplePod")
    ]


def _avoided_nodes(nodes: Iterable[Json], now_s: float) -> Iterator[RenderableType]:
    for one in nodes:
        since = age(one["since"], now_s=now_s)
        yield Text.assemble((one["node"], "bold"), " for ", since, ": ", (one["reason"], "red"))
        yield indented(Text(one["message"]))
        end = "until the node reboots" if one.get("bootID") else "for one day"
        or_listed = f", or until it is listed in the annotation {names.TRUSTED_NODES}"
        yield indented(Text.assemble(("→ ", "green"), end, or_listed))


def indented(text: Text, columns: int = 4) -> Padding:
    """Return a text whose lines are all indented, also where they are wrapped."""
    return Padding(text, (0, 0, 0, columns), expand=False)


def top(deployment: str, rows: Sequence[ServerRow], *, now_s: float) -> RenderableType:
    """Return one row for each server pod, with its load."""
    table = new_table("pod", "state", "gpu")
    for name in ("BACKLOG", "RUNNING", "WAITING", "KV", "AGE"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in rows:
        table.add_row(
            str(one.pod["metadata"]["name"]).removeprefix(f"{deployment}-"),
            _state(one),
            one.gpu.removeprefix("NVIDIA-"),
            *_load(one.load),
            age(one.pod["metadata"].get("creationTimestamp"), now_s=now_s),
        )
    return table


def server_state(row: ServerRow) -> str:
    """Return the state of a server pod in one word."""
    if _is_draining(row.pod):
        return "draining"
    if not _is_true(row.pod, "PodScheduled"):
        return "unscheduled"
    if row.load is None:
        phase = str((row.pod.get("status") or {}).get("phase", "Unknown"))
        return "unreachable" if phase == "Running" else phase.lower()
    return str(row.load.state)


def _state(row: ServerRow) -> Text:
    state = server_state(row)
    if state == "ready":
        return Text(state, "green")
    is_known = row.load is not None or state == "draining"
    return Text(state, "yellow" if is_known else "red")


def _load(load: LoadReport | None) -> tuple[str, str, str, str]:
    if load is None:
        return "-", "-", "-", "-"
    kv = "-"
    if load.num_kv_tokens and load.num_kv_tokens_used is not None:
        kv = f"{load.num_kv_tokens_used / load.num_kv_tokens:.0%}"
    return f"{load.backlog_s:.1f} s", str(load.num_running), str(load.num_waiting), kv


def new_table(*columns: str, fold: str = "") -> Table:
    """Return an empty table as kubectl's; the column `fold` gets the rest of the width."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        if name == fold:
            table.add_column(name.upper(), overflow="fold", ratio=1)
        else:
            table.add_column(name.upper(), overflow="fold")
    return table


def desired_replicas(deployment: Json) -> Any:
    """Return the desired number of replicas; "?" if it is not known."""
    spec, reported = deployment["spec"], deployment.get("status") or {}
    if (spec.get("scaling") or {}).get("mode") == "Internal":
        return (reported.get("scaling") or {}).get("desiredReplicas", "?")
    return spec.get("replicas", 1)


def _style(condition: Json) -> str:
    if condition.get("status") not in {"True", "False"}:
        return "yellow"
    return {"ok": "green", "waiting": "yellow", "problem": "red"}[reasons.severity(condition)]


def _condition(reported: Json, kind: str) -> Json:
    found: Sequence[Json] = reported.get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})


def _is_true(pod: Json, kind: str) -> bool:
    return _condition(pod.get("status") or {}, kind).get("status") == "True"


def _is_draining(pod: Json) -> bool:
    """Whether a pod is draining, terminating, or requested to drain."""
    metadata = pod["metadata"]
    requested = (metadata.get("annotations") or {}).get(names.DRAIN_ANNOTATION)
    return bool(metadata.get("deletionTimestamp")) or requested == "true"
