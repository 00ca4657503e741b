"""What `flamingo batches` prints of a batch."""

from datetime import UTC

import pytest
from rich.console import Console

from flamingo.commands.display import batches_texts
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire.batches import Batch, BatchFault, BatchUsage, RequestCounts

CREATED_AT = 1_790_000_000
CREATED = ("2026-09-21", "14:13:20")


def batch(status="in_progress", *, failed=0, **more):
    counts = RequestCounts(total=1200, completed=1000, failed=failed)
    return Batch(
        id="batch_1",
        endpoint="/v1/audio/captions",
        input_file_id="file-1",
        status=status,
        created_at=CREATED_AT,
        expires_at=CREATED_AT + 86_400,
        request_counts=counts,
        usage=BatchUsage(),
        **more,
    )


def shown(*batches):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(batches_texts.table(batches, now_s=CREATED_AT + 3600, zone=UTC))
    return [line.split() for line in capture.get().splitlines()]


def test_a_row_has_counts_and_times_and_only_unfinished_batches_expire():
    rows = shown(batch(failed=7), batch("completed"), batch("validating"))
    assert rows == [
        ["id", "status", "done", "failed", "created", "expires"],
        [
            "batch_1",
            "in_progress",
            "1,007/1,200",
            "7",
            "2026-09-21",
            "14:13:20",
            *["in", "23", "h", "0", "min"],
        ],
        ["batch_1", "completed", "1,000/1,200", "0", *CREATED, "-"],
        [
            "batch_1",
            "validating",
            "-",
            "0",
            "2026-09-21",
            "14:13:20",
            *["in", "23", "h", "0", "min"],
        ],
    ]


def test_details_say_when_a_batch_ended_and_where_its_files_are():
    ended = batch("cancelled", cancelled_at=CREATED_AT + 90, output_file_id="file-2")
    found = dict(batches_texts.details(ended, now_s=0, zone=UTC))
    assert found["ended"] == "2026-09-21 14:14:50 (after 1 min 30 s)"
    assert (found["output file"], found["error file"]) == ("file-2", "-")
    assert "expires" not in found


def test_faults_have_the_numbers_of_their_lines_and_not_all_are_shown():
    faults = [BatchFault(code="c", line=number, message="a\nb") for number in range(1, 23)]
    lines = [*batches_texts.fault_lines(faults)]
    assert (lines[0], lines[-1]) == ("line 1: a b", "… and 2 more; --json has them all")


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (batch("completed"), ExitStatus.OK),
        (batch("completed", failed=1), ExitStatus.ITEMS_FAILED),
        (batch("expired"), ExitStatus.BATCH_INCOMPLETE),
        (batch("cancelled"), ExitStatus.BATCH_INCOMPLETE),
        (batch("failed"), ExitStatus.INTERNAL_ERROR),
    ],
)
def test_the_exit_status_says_how_a_batch_ended(ended, status):
    assert batches_texts.exit_status(ended) == status
