"""What `flamingo fleet` prints of a router's report."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from flamingo.commands.display import output
from flamingo_common.wire.report import EndpointReport, FleetReport

UNHEALTHY_REASONS = frozenset({"unreachable", "failed", "key_refused", "name_refused"})
"""Reasons that, like ejection, need attention; others are part of normal operation."""


def summary(report: FleetReport) -> Iterator[str]:
    """Yield one line about the pods, one about the queue and one about the arrival rate."""
    if not report.endpoints:
        yield "no pods registered"
    else:
        num_ready = sum(endpoint.ready for endpoint in report.endpoints)
        models = {endpoint.load.model for endpoint in report.endpoints if endpoint.load is not None}
        pods = "pod" if len(report.endpoints) == 1 else "pods"
        ready = f"{num_ready} of {len(report.endpoints)} {pods} ready"
        yield ", ".join([ready, *sorted(models)])
    if num_refused := sum(each.reason == "key_refused" for each in report.endpoints):
        pods = "pod refuses" if num_refused == 1 else "pods refuse"
        yield f"{num_refused} {pods} the router's key; see --pod-key-file of flamingo router"
    if num_refused := sum(each.reason == "name_refused" for each in report.endpoints):
        pods = "pod may" if num_refused == 1 else "pods may"
        yield f"{num_refused} {pods} not be called by name; see --allowed-hosts of flamingo serve"
    if report.queue.num:
        yield _queue_line(report)
    for recent in report.arrivals[:1]:
        covered_s = recent.window_s if recent.covered_s is None else recent.covered_s
        yield (
            f"arrivals per second: {recent.num:.1f} requests, {recent.audio_s:,.1f} s of audio,"
            f" {recent.work_s:.1f} s of work (last {covered_s:.0f} s)"
        )
    yield from _caches_line(report)


CACHED = {"embeddings": "of windows", "kv": "of prompt tokens", "held": "of clips by id"}


def _caches_line(report: FleetReport) -> Iterator[str]:
    """Yield how much was cached of what all pods were asked for since their start."""
    caches = [each.load.caches for each in report.endpoints if each.load is not None]
    shares = []
    for name, noun in CACHED.items():
        found = [one[name] for one in caches if name in one]
        if num_queries := sum(one.queries for one in found):
            shares.append(f"{sum(one.hits for one in found) / num_queries:.0%} {noun}")
    if shares:
        yield f"cached: {', '.join(shares)}"


def _queue_line(report: FleetReport) -> str:
    queue = report.queue
    requests = "request" if queue.num == 1 else "requests"
    state = "held until a pod is ready" if report.cold else "queued"
    oldest_s = report.holding_s if report.cold else queue.oldest_s
    return (
        f"{queue.num:,} {requests} {state}: {queue.audio_s:,.0f} s of audio,"
        f" {queue.work_s:,.1f} s of work, oldest {oldest_s:.1f} s"
    )


def table(report: FleetReport) -> Table:
    """Return the pods with their state and their load."""
    rows = Table("pod", "status", box=None, header_style="bold", pad_edge=False)
    for name in ("backlog", "prefill", "in flight", "slowdown"):
        rows.add_column(name, justify="right", no_wrap=True)
    for endpoint in report.endpoints:
        rows.add_row(
            output.cell(endpoint.address),
            _status(endpoint),
            f"{endpoint.backlog_s:.1f} s",
            f"{endpoint.queued_s:.1f} s",
            str(endpoint.num_open),
            f"{endpoint.speed:.1f}x",
        )
    return rows


def _status(endpoint: EndpointReport) -> Text:
    reason = status(endpoint)
    is_unhealthy = endpoint.ejected or reason in UNHEALTHY_REASONS
    return output.cell(reason, "green" if endpoint.ready else "red" if is_unhealthy else "yellow")


def status(endpoint: EndpointReport) -> str:
    """Return `ready`, or why the pod is not ready; older routers report no reason."""
    return "ready" if endpoint.ready else endpoint.reason or "not ready"


def changes(before: FleetReport | None, now: FleetReport) -> Iterator[str]:
    """Yield a line for each pod that came, left, or has another status than before."""
    old = {} if before is None else {one.address: status(one) for one in before.endpoints}
    for one in now.endpoints:
        if old.pop(one.address, None) != status(one):
            yield f"{one.address} {status(one)}"
    yield from (f"{address} left" for address in old)
