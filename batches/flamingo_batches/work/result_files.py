"""Writes the output and the error file of a batch from its chunks, and ends the batch."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from flamingo_batches import ids
from flamingo_batches.records import StoredBatch, StoredFile
from flamingo_batches.state import State
from flamingo_batches.store import database, work
from flamingo_batches.store.work import Chunk, Lease
from flamingo_common.service import logs
from flamingo_common.wire.batches import BatchStatus


@dataclass(frozen=True, slots=True)
class ResultKind:
    """One of a batch's two files."""

    name: str
    num_bytes: int
    paths: Sequence[str]
    """Of the chunks that have some of it."""


async def finish(state: State, lease: Lease, batch: StoredBatch) -> None:
    """Write the files, and end the batch. Killed in between, it is done again from the start.

    Raises:
        LeaseLost: another replica works on the batch.
    """
    chunks = await state.database.run(work.chunks, batch.id, patience_s=None)
    now_s = int(await state.database.run(database.now_s, patience_s=None))
    output = await _write(state, batch, _kind(batch.id, "output", chunks), now_s)
    error = await _write(state, batch, _kind(batch.id, "error", chunks), now_s)
    status = _last_status(batch)
    await state.database.run(work.finish, lease, status, output, error, patience_s=None)
    logs.get().info(
        f"batch.{status}",
        batch=batch.id,
        key=batch.owner,
        completed=batch.completed,
        failed=batch.failed,
    )
    await remove_chunks(state, batch.id)


async def remove_chunks(state: State, batch_id: str) -> None:
    """Remove all chunks of a batch, recorded or not."""
    prefix = ids.results_path(batch_id)
    await state.contents.delete([each.path async for each in state.contents.list(prefix)])


def _last_status(batch: StoredBatch) -> BatchStatus:
    if batch.status == "cancelling":
        return "cancelled"
    return "expired" if "expired_at" in batch.times else "completed"


def _kind(batch_id: str, name: str, chunks: Sequence[Chunk]) -> ResultKind:
    sizes = {
        chunk.id: chunk.num_output_bytes if name == "output" else chunk.num_error_bytes
        for chunk in chunks
    }
    paths = [ids.chunk_path(batch_id, each, name) for each, size in sizes.items() if size]
    return ResultKind(name, sum(sizes.values()), paths)


async def _write(
    state: State, batch: StoredBatch, kind: ResultKind, now_s: int
) -> StoredFile | None:
    """Write a file; None if nothing belongs into it."""
    if not kind.num_bytes:
        return None
    file = StoredFile(
        ids.result_file(batch.id, kind.name),
        batch.owner,
        "batch_output",
        f"{batch.id}_{kind.name}.jsonl",
        kind.num_bytes,
        now_s,
        now_s + batch.output_expires_after_s,
    )
    path = ids.contents_path(file.id)
    await state.contents.write(path, _joined(state, kind.paths))
    if (num_bytes := await state.contents.size(path)) != kind.num_bytes:
        raise RuntimeError(f"{path} has {num_bytes} bytes instead of {kind.num_bytes}")
    return file


async def _joined(state: State, paths: Sequence[str]) -> AsyncIterator[bytes]:
    for path in paths:
        async for part in state.contents.read(path):
            yield part
