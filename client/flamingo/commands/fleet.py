"""`flamingo fleet`: the pods behind a router."""

from rich.table import Table

from flamingo.client import FlamingoClient, address
from flamingo.commands import options, output
from flamingo.errors import NotFound
from flamingo.wire.report import EndpointReport, FleetReport


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
    elif report.endpoints:
        output.table(_table(report))
    else:
        print("the router knows no pods")


def _table(report: FleetReport) -> Table:
    table = Table("pod", "state", box=None, header_style="bold", pad_edge=False)
    table.add_column("backlog", justify="right")
    table.add_column("open", justify="right")
    table.add_column("model")
    for endpoint in report.endpoints:
        model = endpoint.load.model if endpoint.load is not None else "-"
        backlog = f"{endpoint.backlog_s:.1f} s"
        table.add_row(endpoint.address, _state(endpoint), backlog, str(endpoint.num_open), model)
    return table


def _state(endpoint: EndpointReport) -> str:
    """Return the router's word where the pod is ready, else the pod's own reason."""
    if endpoint.ready:
        return "[green]ready[/green]"
    if endpoint.load is None:
        return "[red]silent[/red]"
    state = endpoint.load.state
    return f"[yellow]{'not ready' if state == 'ready' else state}[/yellow]"
