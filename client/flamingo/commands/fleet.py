"""`flamingo fleet`: the pods behind a router."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from flamingo.client import FlamingoClient, address
from flamingo.commands import options, output
from flamingo_common.errors import NotFound
from flamingo_common.service import printable
from flamingo_common.wire.report import EndpointReport, FleetReport

UNHEALTHY_REASONS = frozenset({"unreachable", "failed", "key_refused"})
"""Reasons that, like ejection, need attention; others are part of normal operation."""


def fleet(
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Show the pods behind a router, their state and their load."""
    with FlamingoClient(url, api_key=api_key) as client:
        try:
            report = client.fleet()
        except NotFound:
            raise NotFound(
                f"{client.base_url} is a pod, not a router; pass the router's URL with --url"
            ) from None
    if as_json:
        output.print_json(report)
        return
    for line in _summary(report):
        print(printable.escape_line(line))
    if report.endpoints:
        print()
        output.print_table(_table(report))


def _summary(report: FleetReport) -> Iterator[str]:
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
    if report.queue.num:
        yield _queue_line(report)
    for recent in report.arrivals[:1]:
        yield (
            f"arrivals per second: {recent.num:.1f} requests, {recent.audio_s:,.1f} s of audio,"
            f" {recent.work_s:.1f} s of work (last {recent.window_s:g} s)"
        )


def _queue_line(report: FleetReport) -> str:
    queue = report.queue
    requests = "request" if queue.num == 1 else "requests"
    state = "held until a pod is ready" if report.cold else "queued"
    oldest_s = report.holding_s if report.cold else queue.oldest_s
    return (
        f"{queue.num:,} {requests} {state}: {queue.audio_s:,.0f} s of audio,"
        f" {queue.work_s:,.1f} s of work, oldest {oldest_s:.1f} s"
    )


def _table(report: FleetReport) -> Table:
    table = Table("pod", "status", box=None, header_style="bold", pad_edge=False)
    for name in ("backlog", "prefill", "in flight", "slowdown"):
        table.add_column(name, justify="right", no_wrap=True)
    for endpoint in report.endpoints:
        table.add_row(
            output.cell(endpoint.address),
            _status(endpoint),
            f"{endpoint.backlog_s:.1f} s",
            f"{endpoint.queued_s:.1f} s",
            str(endpoint.num_open),
            f"{endpoint.speed:.1f}x",
        )
    return table


def _status(endpoint: EndpointReport) -> Text:
    """Return `ready`, or why the pod is not ready; older routers report no reason."""
    if endpoint.ready:
        return output.cell("ready", "green")
    reason = endpoint.reason or "not ready"
    is_unhealthy = endpoint.ejected or reason in UNHEALTHY_REASONS
    return output.cell(reason, "red" if is_unhealthy else "yellow")
