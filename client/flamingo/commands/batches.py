"""`flamingo batches`: the batches of a fleet's service, and the service itself."""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, get_args

import typer
from rich.table import Table
from typer.core import TyperGroup

from flamingo.client import FlamingoClient, address
from flamingo.client.batches import ACTIVE, POLL_INTERVAL_S
from flamingo.commands import options, services
from flamingo.commands.command import Command
from flamingo.commands.display import batches_texts, output
from flamingo.commands.files import files
from flamingo_common.errors import BadRequest, MethodNotAllowed, NotFound
from flamingo_common.service import printable
from flamingo_common.wire.batches import Batch, Endpoint

MODULE = "flamingo_batches"
HELP = """Process files of requests with a fleet's service of batches.

The service keeps the files and continues by itself, whatever happens to this
machine. For a folder of songs see `flamingo batch`.
"""
USE, RUN = "Use the service", "Run the service"
MAX_FIRST_LINE_BYTES = 2**24
DEFAULT_LIMIT = 100


class ServiceByDefault(TyperGroup):
    """Runs the service if no command is named: `flamingo batches --server-url …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command that is not."""
        is_flag = args[:1] == [] or args[0].startswith("-")
        if is_flag and args[:1] not in (["--help"], ["-h"]):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="batches",
    help=HELP,
    cls=ServiceByDefault,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of a batch: batch_…")]
Out = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Save to this file.", dir_okay=False, show_default=False),
]
Interval = Annotated[
    float,
    typer.Option("--interval", min=0.05, help="Seconds between two looks at a batch."),
]
Wait = Annotated[
    bool,
    typer.Option("--wait", "-w", help="Wait until it has ended; the exit status says how."),
]


@app.command("list", cls=Command, rich_help_panel=USE)
def list_batches(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    limit: Annotated[
        int, typer.Option("--limit", "-L", min=1, help="Most batches to list, the newest first.")
    ] = DEFAULT_LIMIT,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Print changes until no batch has work left.")
    ] = False,
    interval: Interval = POLL_INTERVAL_S,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """List the batches of this API key."""
    with _service(url, api_key) as client:
        found = client.batches.list(limit=limit)
        _print_list(found, as_json=as_json)
        while watch and any(batch.status in ACTIVE for batch in found):
            time.sleep(interval)
            before, found = found, client.batches.list(limit=limit)
            if changed := [batch for batch in found if batch not in before]:
                _print_list(changed, as_json=as_json, has_header=False)


@app.command(cls=Command, rich_help_panel=USE)
def get(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    batch_id: Id,
    wait: Wait = False,
    interval: Interval = POLL_INTERVAL_S,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Show one batch: its state, its counts, and the faults of its input."""
    with _service(url, api_key) as client:
        if wait:
            _follow(client, batch_id, interval, as_json=as_json)
        _print_batch(client.batches.retrieve(batch_id), as_json=as_json)


@app.command(cls=Command, rich_help_panel=USE)
def create(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="JSONL, a request on each line.", exists=True, dir_okay=False
        ),
    ],
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            help=f"The url of every line; by default that of the first one."
            f" One of {', '.join(get_args(Endpoint))}.",
            show_default=False,
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="NAME=VALUE", help="Carried by the batch; repeatable."),
    ] = None,
    wait: Wait = False,
    interval: Interval = POLL_INTERVAL_S,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Upload a file of requests, and create a batch of it; prints its id."""
    carried = _metadata(metadata or [])
    chosen: Any = endpoint or _first_url(file)  # the service validates it
    with _service(url, api_key) as client:
        with output.spinner(f"uploading {file}"):
            batch = client.batches.create(file, endpoint=chosen, metadata=carried)
        if wait:
            print(f"created {batch.id}", file=sys.stderr)
            _follow(client, batch.id, interval, as_json=as_json)
        if as_json:
            output.print_json(batch)
            return
    print(batch.id)
    follow = f"flamingo batches get {batch.id} --wait"
    print(f"flamingo: created; to follow it: {follow}", file=sys.stderr)


@app.command(cls=Command, rich_help_panel=USE)
def cancel(
    batch_id: Id,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Cancel a batch; what was answered until then stays in its files."""
    with _service(url, api_key) as client:
        batch = client.batches.cancel(batch_id)
    if as_json:
        output.print_json(batch)
    else:
        print(batches_texts.progress(batch))


@app.command("output", rich_help_panel=USE)
def output_of(
    batch_id: Id,
    out: Out = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Print or save the responses of a batch, as JSONL."""
    with _service(url, api_key) as client:
        batch = _ended(client, batch_id)
        if batch.output_file_id is None:
            raise BadRequest(
                f"{batch.id} is {batch.status}, and no line has a response; see what failed with"
                f" `flamingo batches errors {batch.id}`"
            )
        _save(client, batch.output_file_id, out)


@app.command(cls=Command, rich_help_panel=USE)
def errors(
    batch_id: Id,
    out: Out = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Print or save what failed in a batch, as JSONL: its lines, or the faults of its input."""
    with _service(url, api_key) as client:
        batch = _ended(client, batch_id)
        if batch.error_file_id is not None:
            _save(client, batch.error_file_id, out)
            return
    faults = batch.errors.data if batch.errors else []
    if not faults:
        print(f"flamingo: no line of {batch.id} failed", file=sys.stderr)
    with _target(out) as target:
        target.writelines(json.dumps(each.model_dump()).encode() + b"\n" for each in faults)


app.command(
    "serve",
    cls=services.PassThrough,
    help="Run the service; also without a command: `flamingo batches --server-url URL`.",
    rich_help_panel=RUN,
)(services.exec_module(MODULE))
app.command(
    "migrate",
    cls=services.PassThrough,
    help="Bring the schema of the service's database up to date.",
    rich_help_panel=RUN,
)(services.exec_module(MODULE, "migrate"))


@contextlib.contextmanager
def _service(url: str, api_key: str | None) -> Iterator[FlamingoClient]:
    """Yield a client; that there is no service of batches is an error with what to do."""
    with FlamingoClient(url, api_key=api_key) as client:
        try:
            yield client
        except (NotFound, MethodNotAllowed) as error:
            if error.param == "id":  # there is no such batch
                raise
            raise NotFound(
                f"{client.base_url} has no service of batches: start the fleet with `flamingo up"
                " --batches-dir DIR`, or run `flamingo batches serve` and set the router's"
                " --batches-url"
            ) from None


def _print_list(batches: Sequence[Batch], *, as_json: bool, has_header: bool = True) -> None:
    if as_json:
        output.print_json_value({"object": "list", "data": [one.model_dump() for one in batches]})
        return
    if not batches:
        print("no batches")
        return
    rows = batches_texts.table(batches, now_s=time.time())
    rows.show_header = has_header
    output.print_table(rows)


def _print_batch(batch: Batch, *, as_json: bool) -> None:
    if as_json:
        output.print_json(batch)
        return
    rows = Table.grid(padding=(0, 2))
    for name, value in batches_texts.details(batch, now_s=time.time()):
        rows.add_row(name, output.cell(value))
    output.print_table(rows)
    for line in batches_texts.fault_lines(batch.errors.data if batch.errors else []):
        output.print_failure(line)


def _follow(client: FlamingoClient, batch_id: str, interval_s: float, *, as_json: bool) -> None:
    """Print the progress of a batch until it has ended, then exit with the status for it."""

    def on_change(batch: Batch) -> None:
        print(batches_texts.progress(batch), file=sys.stderr, flush=True)

    batch = client.batches.wait(batch_id, poll_interval_s=interval_s, on_change=on_change)
    _print_batch(batch, as_json=as_json)
    if batch.error_file_id is not None:
        hint = f"flamingo: to see what failed: flamingo batches errors {batch.id}"
        print(hint, file=sys.stderr)
    raise typer.Exit(batches_texts.exit_status(batch))


def _ended(client: FlamingoClient, batch_id: str) -> Batch:
    """Return a batch whose files are there.

    Raises:
        BadRequest: there is work left on it.
    """
    batch = client.batches.retrieve(batch_id)
    if batch.status in ACTIVE:
        raise BadRequest(
            f"{batches_texts.progress(batch)}; its files are written when it ends, for which"
            f" `flamingo batches get {batch.id} --wait` waits"
        )
    return batch


def _save(client: FlamingoClient, file_id: str, out: Path | None) -> None:
    with _target(out) as target:
        client.batches.save_file(file_id, target)


@contextlib.contextmanager
def _target(out: Path | None) -> Iterator[BinaryIO]:
    if out is not None:
        files.check_directory(out, flag="--output")
        with files.saving(out) as file:
            yield file
        return
    if not sys.stdout.isatty():
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        for line in file:  # text of a server must not control the terminal
            print(printable.escape_json(line.decode("utf-8", "replace").rstrip("\n")))


def _metadata(pairs: Iterable[str]) -> dict[str, str] | None:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--metadata")
        found[name] = value
    return found or None


def _first_url(file: Path) -> str:
    """Return the `url` of the file's first line."""
    try:
        with file.open("rb") as lines:
            if not (first := lines.readline(MAX_FIRST_LINE_BYTES)):
                raise typer.BadParameter(f"{file} is empty", param_hint="FILE")
            url = json.loads(first)["url"]
    except OSError as error:
        raise typer.BadParameter(f"{file}: {os.strerror(error.errno or 0).lower()}") from None
    except (ValueError, KeyError, TypeError):
        url = None
    if not isinstance(url, str):
        raise typer.BadParameter(
            f'{file}, line 1: not a request, which is a JSON object with a "url"; --endpoint names'
            " the url of all lines",
            param_hint="FILE",
        )
    return url
