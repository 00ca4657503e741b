"""`flamingo doctor`: checks whether this machine can serve or query a model, with fixes."""

import importlib.util
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flamingo.client import CannotConnect, FlamingoClient, address
from flamingo.commands import options, pod_checks
from flamingo.commands.display import error_texts, output
from flamingo_common.errors import FlamingoError
from flamingo_common.service import checks, extras, printable, run
from flamingo_common.service.checks import Check, Status, failed, ok, warning

Model = Annotated[
    str, typer.Option("--model", help="Built-in model, directory, or Hugging Face model id.")
]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option("--device", help="Device to serve on; auto uses a GPU if there is one."),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option("--dtype", help="Data type; auto is bfloat16 on a GPU and float32 on a CPU."),
]
Quantization = Annotated[
    Literal["fp8"] | None,
    typer.Option("--quantization", help="Check for weights that are quantized while loading."),
]
Port = Annotated[
    int, typer.Option("--port", min=1, max=65535, help="Port that the service would listen on.")
]

Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]

WIDTH = 80
MARKS = {
    Status.OK: "[green]✓[/green]",
    Status.WARNING: "[yellow]![/yellow]",
    Status.FAILED: "[red]✗[/red]",
}
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - inspected, not written to
MIN_OPEN_FILES = 4096
MAX_ADVISED_OPEN_FILES = 65536
MIN_SHARED_MEMORY_BYTES = 64 * 2**20
POD_TIMEOUT_S = 300.0
"""For the pod's own checks, which import torch, ask the hub, and compile kernels on a GPU."""


def doctor(  # noqa: PLR0913 - a command's parameters are its options
    model: Model = "flamingo-tiny",
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    port: Port = 8000,
    *,
    quantization: Quantization = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: Json = False,
) -> None:
    """Check this machine for problems, and suggest fixes.

    ✓ passed, ! warning, ✗ problem. The exit status is 1 if there is any problem.
    """
    pod_flags = [model, "--device", device, "--dtype", dtype]
    pod_flags += ["--revision", revision] if revision else []
    pod_flags += ["--quantization", quantization] if quantization else []
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    results = []
    for check in _run_checks(pod_flags, port, url, api_key):
        results.append(check)
        if not as_json:
            _print_check(console, check)
    if as_json:
        output.print_json_value([check.model_dump(mode="json") for check in results])
    else:
        console.print(f"\n{_summary(results)}")
    if checks.any_failed(results):
        raise typer.Exit(1)


def _print_check(console: Console, check: Check) -> None:
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=12)
    line.add_column(width=min(console.width, WIDTH) - 16, overflow="fold")
    line.add_row(MARKS[check.status], output.cell(check.topic, "bold"), _paragraph(check.message))
    if check.advice:
        line.add_row("", "", _paragraph(f"→ {check.advice}", "dim"))
    console.print(line)


def _paragraph(text: str, style: str = "") -> Text:
    return Text(printable.escape_text(text), style)


def _summary(results: list[Check]) -> str:
    num_problems = sum(check.status is Status.FAILED for check in results)
    num_warnings = sum(check.status is Status.WARNING for check in results)
    warnings = f"{num_warnings} warning{'' if num_warnings == 1 else 's'}"
    if num_problems:
        problems = f"{num_problems} problem{'' if num_problems == 1 else 's'} to fix"
        return f"[red]{problems}[/red]" + (f", {warnings}" if num_warnings else "")
    return "[green]no problems found[/green]" + (f"; {warnings}" if num_warnings else "")


def _run_checks(pod_flags: list[str], port: int, url: str, api_key: str | None) -> Iterator[Check]:
    python = platform.python_version()
    yield ok("flamingo", f"{metadata.version('flamingo-fleet')} on Python {python}")
    yield _check_open_files()
    yield _check_shared_memory()
    yield _check_port(port)
    yield _check_fleet(url, api_key)
    yield from _check_pod(pod_flags)


def _check_open_files() -> Check:
    limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return ok("open files", "unlimited")
    if limit < MIN_OPEN_FILES:
        message = f"limit is {limit}; each request needs one or two"
        return warning("open files", message, f"ulimit -n {_advised_limit(hard_limit)}")
    return ok("open files", f"limit is {limit:,}")


def _advised_limit(hard_limit: int) -> int:
    if hard_limit == resource.RLIM_INFINITY:
        return MAX_ADVISED_OPEN_FILES
    return min(hard_limit, MAX_ADVISED_OPEN_FILES)


def _check_shared_memory() -> Check:
    is_mounted = Path(SHARED_MEMORY).is_dir()
    size_bytes = shutil.disk_usage(SHARED_MEMORY).total if is_mounted else 0
    if size_bytes < MIN_SHARED_MEMORY_BYTES:
        message = f"{size_bytes / 2**20:.0f} MiB; at least {MIN_SHARED_MEMORY_BYTES / 2**20:.0f}"
        advice = "in Kubernetes, mount an emptyDir with medium: Memory there"
        return warning(SHARED_MEMORY, f"{message} MiB are recommended", advice)
    return ok(SHARED_MEMORY, f"{size_bytes / 2**30:.1f} GiB")


def _check_port(port: int) -> Check:
    try:
        run.listen("127.0.0.1", port).close()
    except run.PortInUse:
        return warning(
            "port", f"{port} is in use", "if not by your fleet, choose another with --port"
        )
    return ok("port", f"{port} is free")


def _check_fleet(url: str, api_key: str | None) -> Check:
    is_requested = url != address.DEFAULT_URL
    try:
        with FlamingoClient(url, api_key=api_key, max_retries=0) as client:
            names = ", ".join(card.id for card in client.models())
    except FlamingoError as error:
        message = error_texts.in_flags(error.message)
        if is_requested or not isinstance(error, CannotConnect):
            return failed(
                "fleet", message, "check that the fleet is running and FLAMINGO_URL is right"
            )
        return ok("fleet", f"none running at {url}; flamingo up starts one")
    return ok("fleet", f"{url} serves {names}")


def _check_pod(flags: list[str]) -> Iterator[Check]:
    """Yield the pod's own checks, which run in a separate process, because imports can crash."""
    if missing := [
        name for name in ("torch", "transformers") if not importlib.util.find_spec(name)
    ]:
        message = (
            f"{' and '.join(missing)} not installed: this machine can query a fleet,"
            " but not serve a model"
        )
        yield warning("pod", message, f"to serve, {extras.advice('pod')}")
        return
    command = [sys.executable, "-P", "-m", "flamingo_pod.doctor", *flags]
    yield from pod_checks.run(command, timeout_s=POD_TIMEOUT_S)
