"""Checks a batch's input file, and puts the batch in progress, or lets it fail."""

import asyncio

from flamingo_batches import ids
from flamingo_batches.checks import input_check
from flamingo_batches.checks.input_check import CheckedInput
from flamingo_batches.records import StoredBatch
from flamingo_batches.state import State
from flamingo_batches.store import files, work
from flamingo_batches.store.work import Lease
from flamingo_batches.work.spool import InputSpool
from flamingo_common.service import logs, uninterrupted
from flamingo_common.wire.batches import BatchFault


async def load(state: State, batch: StoredBatch, spool: InputSpool) -> bool:
    """Copy a batch's input to this machine; return whether the file exists."""
    try:
        await spool.fill(state.contents.read(ids.contents_path(batch.input_file_id)))
    except FileNotFoundError:
        return False
    return True


async def validate(state: State, lease: Lease, batch: StoredBatch, spool: InputSpool) -> None:
    """Check the input in `spool`, and record what was found.

    Raises:
        LeaseLost: another replica works on the batch.
    """
    loop = asyncio.get_running_loop()
    checking = loop.run_in_executor(None, _check_lines, state, batch, spool)
    checked = await uninterrupted.result_of(checking)  # or `spool` would be closed while it reads
    owned = await state.database.run(
        files.owned, batch.owner, [*input_check.file_ids(checked)], patience_s=None
    )
    checked.check_files(owned)
    checked.finish()
    if checked.faults:
        await fail(state, lease, checked)
        return
    lines = input_check.planned(checked.places)
    await state.database.run(work.begin, lease, lines, patience_s=None)
    logs.get().info("batch.started", batch=batch.id, key=batch.owner, lines=len(lines))


async def fail(state: State, lease: Lease, checked: CheckedInput) -> None:
    """Let a batch fail because of its input.

    Raises:
        LeaseLost: another replica works on the batch.
    """
    found = [fault.model_dump() for fault in checked.faults]
    await state.database.run(work.fail, lease, found, checked.num_lines, patience_s=None)
    logs.get().info("batch.failed", batch=lease.batch_id, faults=checked.num_faults)


async def fail_without_input(state: State, lease: Lease, batch: StoredBatch) -> None:
    """Let a batch fail whose input file has no contents.

    Raises:
        LeaseLost: another replica works on the batch.
    """
    checked = _new(state, batch)
    message = f"the input file {batch.input_file_id} was deleted"
    checked.add_fault(BatchFault(code="input_not_found", message=message, param="input_file_id"))
    await fail(state, lease, checked)


def _check_lines(state: State, batch: StoredBatch, spool: InputSpool) -> CheckedInput:
    checked = _new(state, batch)
    for text, number, start in spool.lines():
        checked.add(text, number, start)
    return checked


def _new(state: State, batch: StoredBatch) -> CheckedInput:
    return CheckedInput(batch.endpoint, state.settings.max_lines, state.settings.clip_source)
