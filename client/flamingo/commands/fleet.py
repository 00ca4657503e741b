"""`flamingo fleet`: the pods behind a router."""

from typing import Annotated

import typer

from flamingo.client import FlamingoClient, address
from flamingo.commands import fleet_watch, options
from flamingo.commands.display import fleet_views, output
from flamingo_common.errors import NotFound
from flamingo_common.service import printable
from flamingo_common.wire.report import FleetReport

INTERVAL_S = 1.0

Watch = Annotated[
    bool,
    typer.Option("--watch", "-w", help="Show the fleet until Ctrl-C; in a pipe, what changes."),
]
Interval = Annotated[
    float, typer.Option("--interval", min=0.05, help="Seconds between two looks with --watch.")
]


def fleet(
    watch: Watch = False,
    interval: Interval = INTERVAL_S,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Show the pods behind a router, their state and their load."""
    with FlamingoClient(url, api_key=api_key) as client:

        def report() -> FleetReport:
            try:
                return client.fleet()
            except NotFound:
                raise NotFound(
                    f"{client.base_url} is a pod, not a router; pass the router's URL with --url"
                ) from None

        if watch:
            fleet_watch.watch(report, interval_s=interval, as_json=as_json)
        else:
            _print(report(), as_json=as_json)


def _print(report: FleetReport, *, as_json: bool) -> None:
    if as_json:
        output.print_json(report)
        return
    for line in fleet_views.summary(report):
        print(printable.escape_line(line))
    if report.endpoints:
        print()
        output.print_table(fleet_views.table(report))
