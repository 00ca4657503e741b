"""`flamingo doctor`: whether this machine can do what is asked of it, and what to do if not."""

import importlib.util
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flamingo.client import FlamingoClient, address
from flamingo.commands import options
from flamingo_common.errors import FlamingoError
from flamingo_common.service import checks, run
from flamingo_common.service.checks import Check, Status, failed, ok, warning

Model = Annotated[str, typer.Option("--model", help="Built-in name, folder or Hugging Face id.")]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Where it would listen.")]

WIDTH = 80
MARKS = {
    Status.OK: "[green]✓[/green]",
    Status.WARNING: "[yellow]![/yellow]",
    Status.FAILED: "[red]✗[/red]",
}
SHARED = "/dev/shm"  # noqa: S108 - looked at, not written to
MIN_FILES = 4096
MIN_SHARED_BYTES = 64 * 2**20
POD_S = 300


def doctor(  # noqa: PLR0913 - a command's parameters are its options
    model: Model = "flamingo-tiny",
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    port: Port = 8000,
    *,
    url: options.Url = address.DEFAULT,
    as_json: options.Json = False,
) -> None:
    """Check this machine, and say what to do where something is missing.

    ✓ is good, ! works but could be better, ✗ will not work; ends with status 1
    where there is a ✗.
    """
    pod = [model, "--device", device, "--dtype", dtype]
    pod += ["--revision", revision] if revision else []
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    found = []
    for check in _checks(pod, port, url):
        found.append(check)
        if not as_json:
            _show(console, check)
    if as_json:
        print(json.dumps([check.model_dump(mode="json") for check in found], ensure_ascii=False))
    else:
        _sum_up(console, found)
    if checks.any_failed(found):
        raise typer.Exit(1)


def _show(console: Console, check: Check) -> None:
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=12)
    line.add_column(width=min(console.width, WIDTH) - 16, overflow="fold")
    line.add_row(MARKS[check.status], f"[bold]{check.topic}[/bold]", escape(check.message))
    if check.advice:
        line.add_row("", "", f"[dim]→ {escape(check.advice)}[/dim]")
    console.print(line)


def _sum_up(console: Console, found: list[Check]) -> None:
    num_bad = sum(check.status is Status.FAILED for check in found)
    num_doubtful = sum(check.status is Status.WARNING for check in found)
    if num_bad:
        console.print(f"\n[red]{num_bad} to mend[/red] before it works")
    elif num_doubtful:
        console.print(f"\n[green]It works[/green]; {num_doubtful} to think about")
    else:
        console.print("\n[green]All is well[/green]")


def _checks(pod: list[str], port: int, url: str) -> Iterator[Check]:
    python = platform.python_version()
    yield ok("flamingo", f"{metadata.version('flamingo-fleet')} on Python {python}")
    yield _files()
    yield _shared_memory()
    yield _port(port)
    yield _fleet(url)
    yield from _pod(pod)


def _files() -> Check:
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < MIN_FILES:
        told = f"{limit} at once; each request takes one or two"
        return warning("open files", told, f"ulimit -n {min(most, 65536)}")
    return ok("open files", "as many as it likes" if limit < 0 else f"{limit:,} at once")


def _shared_memory() -> Check:
    size = shutil.disk_usage(SHARED).total if Path(SHARED).is_dir() else 0
    if size < MIN_SHARED_BYTES:
        told = f"{size / 2**20:.0f} MiB"
        return warning(SHARED, told, "mount an emptyDir of medium Memory there")
    return ok(SHARED, f"{size / 2**30:.1f} GiB")


def _port(port: int) -> Check:
    try:
        run.listen("127.0.0.1", port).close()
    except run.PortInUse:
        return warning("port", f"{port} is in use", "choose another with --port, if it isn't ours")
    return ok("port", f"{port} is free")


def _fleet(url: str) -> Check:
    is_asked = url != address.DEFAULT
    try:
        with FlamingoClient(
            url, api_key=os.environ.get("FLAMINGO_API_KEY"), max_retries=0
        ) as client:
            names = ", ".join(card.id for card in client.models())
    except FlamingoError as error:
        told = " ".join(error.message.split())
        if is_asked:
            return failed(
                "fleet", told, "is it started, and FLAMINGO_URL right? see flamingo fleet"
            )
        return ok("fleet", f"none answers at {url}; flamingo up starts one")
    return ok("fleet", f"{url} serves {names}")


def _pod(arguments: list[str]) -> Iterator[Check]:
    """Yield what the pod's own half finds, in a process that may fail to import."""
    if missing := [
        name for name in ("torch", "transformers") if not importlib.util.find_spec(name)
    ]:
        told = f"{' and '.join(missing)} not installed: this machine can call a fleet, not be one"
        yield warning("pod", told, "to serve here: pip install 'flamingo-fleet[pod]'")
        return
    command = [sys.executable, "-P", "-m", "flamingo_pod.doctor", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            yield Check.model_validate_json(line)
        said = process.stderr.read().strip().splitlines()
    if process.returncode:
        last = said[-1] if said else f"status {process.returncode}"
        yield failed("pod", f"its check ended early: {last}", "pip install 'flamingo-fleet[pod]'")
