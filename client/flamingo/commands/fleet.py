"""`flamingo fleet`: the pods behind a router."""

from collections.abc import Iterator

from rich.table import Table

from flamingo.client import FlamingoClient, address
from flamingo.commands import options, output
from flamingo_common.errors import NotFound
from flamingo_common.wire.report import EndpointReport, FleetReport

BAD = frozenset({"silent", "failed"})
"""Beside ejected pods: those that somebody may have to look at."""


def fleet(
    url: options.Url = address.DEFAULT,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Show the pods behind a router, and how much each has to do."""
    with FlamingoClient(url, api_key=api_key) as client:
        try:
            report = client.fleet()
        except NotFound:
            raise NotFound(f"{client.base_url} is no router: it knows of no fleet") from None
    if as_json:
        output.answer(report)
        return
    print("\n".join(_summary(report)))
    if report.endpoints:
        print()
        output.table(_table(report))


def _summary(report: FleetReport) -> Iterator[str]:
    """Yield a line on the pods, one on what waits, and one on what comes in."""
    if not report.endpoints:
        yield "the router knows no pods"
    else:
        num_ready = sum(endpoint.ready for endpoint in report.endpoints)
        models = {endpoint.load.model for endpoint in report.endpoints if endpoint.load is not None}
        yield ", ".join([f"{num_ready} of {len(report.endpoints)} pods ready", *sorted(models)])
    if report.queue.num:
        yield _waiting(report)
    for lately in report.arrivals[:1]:
        yield (
            f"{lately.num:.1f} requests a second, {lately.audio_s:,.1f} s of audio,"
            f" {lately.work_s:.1f} s of work (last {lately.window_s:g} s)"
        )


def _waiting(report: FleetReport) -> str:
    queue = report.queue
    verb = "held for a first pod" if report.cold else "waiting for a free pod"
    oldest_s = report.holding_s if report.cold else queue.oldest_s
    return (
        f"{queue.num:,} {verb}: {queue.audio_s:,.0f} s of audio, {queue.work_s:,.1f} s of work,"
        f" oldest {oldest_s:.1f} s"
    )


def _table(report: FleetReport) -> Table:
    table = Table("pod", "state", box=None, header_style="bold", pad_edge=False)
    for name in ("backlog", "prefill", "open", "takes"):
        table.add_column(name, justify="right", no_wrap=True)
    for endpoint in report.endpoints:
        table.add_row(
            endpoint.address,
            _state(endpoint),
            f"{endpoint.backlog_s:.1f} s",
            f"{endpoint.queued_s:.1f} s",
            str(endpoint.num_open),
            f"{endpoint.speed:.1f} x usual",
        )
    return table


def _state(endpoint: EndpointReport) -> str:
    """Return why it gets no work, in the router's words; of a router that tells none, less."""
    if endpoint.ready:
        return "[green]ready[/green]"
    reason = endpoint.reason or "not ready"
    is_bad = endpoint.ejected or reason in BAD
    return f"[red]{reason}[/red]" if is_bad else f"[yellow]{reason}[/yellow]"
