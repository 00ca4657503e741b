"""What `flamingo batches` prints of the batches of a service."""

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo

from rich.table import Table

from flamingo.client.batches import ACTIVE
from flamingo.commands.display import batch_texts, output
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire.batches import Batch, BatchFault

STYLES = {
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
}
MAX_FAULTS_SHOWN = 20
ENDS = ("completed_at", "failed_at", "expired_at", "cancelled_at")


def table(batches: Iterable[Batch], *, now_s: float, zone: tzinfo | None = None) -> Table:
    """Return a row for each batch; times are in `zone`, by default this machine's."""
    found = Table("id", "status", box=None, header_style="bold", pad_edge=False)
    for name in ("done", "failed", "created", "expires"):
        found.add_column(name, justify="right", no_wrap=True)
    for batch in batches:
        found.add_row(
            output.cell(batch.id),
            output.cell(batch.status, STYLES.get(batch.status, "")),
            done(batch),
            f"{batch.request_counts.failed:,}",
            time(batch.created_at, zone),
            expiry(batch, now_s),
        )
    return found


def done(batch: Batch) -> str:
    """Return how many lines were answered, also with an error, and of how many."""
    counts = batch.request_counts
    if batch.status == "validating":
        return "-"
    return f"{counts.completed + counts.failed:,}/{counts.total:,}"


def expiry(batch: Batch, now_s: float) -> str:
    """Return in how long the rest of an unfinished batch expires; `-` for others."""
    if batch.status not in ACTIVE:
        return "-"
    return f"in {batch_texts.duration(max(batch.expires_at - now_s, 0))}"


def time(at_s: int, zone: tzinfo | None = None) -> str:
    """Return seconds since 1970 as a date and time; `zone` is by default this machine's."""
    return datetime.fromtimestamp(at_s).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def details(batch: Batch, *, now_s: float, zone: tzinfo | None = None) -> Iterator[tuple[str, str]]:
    """Yield the names and values of what is known of a batch."""
    counts, usage = batch.request_counts, batch.usage
    yield "id", batch.id
    yield "status", batch.status
    yield "endpoint", batch.endpoint
    yield "done", done(batch)
    yield "failed", f"{counts.failed:,}"
    yield "created", time(batch.created_at, zone)
    if batch.status in ACTIVE:
        yield "expires", f"{time(batch.expires_at, zone)} ({expiry(batch, now_s)})"
    ended_at = next((at for name in ENDS if (at := getattr(batch, name)) is not None), None)
    if ended_at is not None:
        took = batch_texts.duration(ended_at - batch.created_at)
        yield "ended", f"{time(ended_at, zone)} (after {took})"
    if usage.total_tokens:
        yield "tokens", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"
    for name, value in (batch.metadata or {}).items():
        yield "metadata", f"{name}={value}"
    yield "input file", batch.input_file_id
    yield "output file", batch.output_file_id or "-"
    yield "error file", batch.error_file_id or "-"


def fault_lines(faults: list[BatchFault]) -> Iterator[str]:
    """Yield the faults of an input file, with the numbers of their lines."""
    for fault in faults[:MAX_FAULTS_SHOWN]:
        place = "" if fault.line is None else f"line {fault.line}: "
        yield f"{place}{' '.join(fault.message.split())}"
    if (num_more := len(faults) - MAX_FAULTS_SHOWN) > 0:
        yield f"… and {num_more:,} more; --json has them all"


def progress(batch: Batch) -> str:
    """Return the state of a batch on one line."""
    if batch.status == "validating":
        return f"{batch.id}: validating"
    num_failed = batch.request_counts.failed
    failed = f", {num_failed:,} failed" if num_failed else ""
    return f"{batch.id}: {batch.status}, {done(batch)} done{failed}"


def exit_status(batch: Batch) -> ExitStatus:
    """Return the status with which a command ends that has waited for a batch."""
    if batch.status == "completed":
        return ExitStatus.ITEMS_FAILED if batch.request_counts.failed else ExitStatus.OK
    return ExitStatus.INTERNAL_ERROR if batch.status == "failed" else ExitStatus.BATCH_INCOMPLETE
