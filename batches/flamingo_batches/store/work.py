"""Queries of the replicas that work on batches: who has which batch, and what it has done.

A replica holds a lease on a batch and renews it. Every change is made only under the lease, so a
replica that was thought dead, and is not, changes nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.engine import Connection

from flamingo_batches.records import ACTIVE, PlannedLine, StoredBatch, StoredFile, Usage
from flamingo_batches.store import database, files
from flamingo_batches.store.batches import to_batch
from flamingo_batches.store.schema import BATCHES, CHUNKS, LINES
from flamingo_common.wire.batches import BatchStatus

PENDING, DONE = 0, 1


class LeaseLost(Exception):
    """Another replica works on the batch by now."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One replica's hold on one batch, for `duration_s` from each renewal."""

    batch_id: str
    holder: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """Results that were written together."""

    id: str
    num_output_bytes: int
    num_error_bytes: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What the lines in one chunk came to."""

    positions: Sequence[int]
    completed: int
    failed: int
    usage: Usage


def claim(
    connection: Connection, holder: str, duration_s: float, skipped_owners: Collection[str]
) -> StoredBatch | None:
    """Take the lease of the oldest batch without one; return the batch, or None without any.

    A batch that was cancelled comes first and counts for no owner: it is soon done.
    """
    is_cancelled = BATCHES.c.status == "cancelling"
    now_s = database.now_s(connection)
    free = (
        select(BATCHES)
        .where(
            BATCHES.c.status.in_(ACTIVE),
            or_(is_cancelled, BATCHES.c.owner.not_in(skipped_owners)),
            or_(BATCHES.c.lease_until_s.is_(None), BATCHES.c.lease_until_s < now_s),
        )
        .order_by(is_cancelled.desc(), BATCHES.c.serial)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(free).one_or_none()
    if row is None:
        return None
    change = update(BATCHES).where(BATCHES.c.id == row.id)
    connection.execute(change.values(lease_holder=holder, lease_until_s=now_s + duration_s))
    return to_batch(row)


def renew(connection: Connection, lease: Lease) -> StoredBatch:
    """Renew a lease; return the batch as it is now.

    Raises:
        LeaseLost: it has another holder.
    """
    batch = held(connection, lease)
    until_s = database.now_s(connection) + lease.duration_s
    _change(connection, lease, lease_until_s=until_s)
    return batch


def release(connection: Connection, lease: Lease, after_s: float = 0.0) -> None:
    """Give a lease back, so that any replica can take it `after_s` seconds from now."""
    until_s = database.now_s(connection) + after_s
    held_by = (BATCHES.c.id == lease.batch_id) & (BATCHES.c.lease_holder == lease.holder)
    connection.execute(
        update(BATCHES).where(held_by).values(lease_holder=None, lease_until_s=until_s)
    )


def release_all(connection: Connection) -> None:
    """Give all leases back: the process that held them is gone."""
    connection.execute(update(BATCHES).values(lease_holder=None, lease_until_s=None))


def held(connection: Connection, lease: Lease) -> StoredBatch:
    """Return the batch of a lease, locked until the transaction ends.

    Raises:
        LeaseLost: it has another holder.
    """
    query = select(BATCHES).where(BATCHES.c.id == lease.batch_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None or row.lease_holder != lease.holder:
        raise LeaseLost(lease.batch_id)
    return to_batch(row)


def begin(connection: Connection, lease: Lease, lines: Sequence[PlannedLine]) -> None:
    """Put a batch in progress whose input was found valid.

    Raises:
        LeaseLost: another replica works on it.
    """
    batch = held(connection, lease)
    if batch.status != "validating":
        return
    connection.execute(
        insert(LINES),
        [
            {
                "batch_id": lease.batch_id,
                "position": line.position,
                "number": line.number,
                "start": line.start,
                "num_bytes": line.num_bytes,
                "is_done": PENDING,
            }
            for line in lines
        ],
    )
    _enter(connection, lease, batch, "in_progress", total=len(lines))


def fail(
    connection: Connection, lease: Lease, faults: Sequence[dict[str, Any]], total: int
) -> None:
    """Let a batch fail whose input is invalid, or gone.

    Raises:
        LeaseLost: another replica works on it.
    """
    batch = held(connection, lease)
    if batch.is_active:
        _remove_work(connection, lease.batch_id)
        total = total or batch.total
        _enter(connection, lease, batch, "failed", faults=list(faults), total=total)


def pending(
    connection: Connection, batch_id: str, after_position: int, limit: int
) -> list[PlannedLine]:
    """Return the next lines that have no outcome, in the order of their positions."""
    query = (
        select(LINES)
        .where(
            LINES.c.batch_id == batch_id,
            LINES.c.position > after_position,
            LINES.c.is_done == PENDING,
        )
        .order_by(LINES.c.position)
        .limit(limit)
    )
    return [_line(row) for row in connection.execute(query)]


def record(connection: Connection, lease: Lease, chunk: Chunk, progress: Progress) -> StoredBatch:
    """Record a chunk, and that its lines are done; return the batch as it is now.

    Raises:
        LeaseLost: another replica works on the batch, and will do these lines.
    """
    batch = held(connection, lease)
    recorded = select(CHUNKS.c.id).where(CHUNKS.c.id == chunk.id)
    if connection.execute(recorded).first() is not None:
        return batch  # the connection was lost after the commit
    of_these = (LINES.c.batch_id == lease.batch_id) & LINES.c.position.in_(progress.positions)
    changed = connection.execute(
        update(LINES).where(of_these, LINES.c.is_done == PENDING).values(is_done=DONE)
    )
    if changed.rowcount != len(progress.positions):  # what keeps a result from being there twice
        raise AssertionError(f"lines of {lease.batch_id} had an outcome already")
    connection.execute(
        insert(CHUNKS).values(
            batch_id=lease.batch_id,
            id=chunk.id,
            num_output_bytes=chunk.num_output_bytes,
            num_error_bytes=chunk.num_error_bytes,
        )
    )
    _change(
        connection,
        lease,
        completed=BATCHES.c.completed + progress.completed,
        failed=BATCHES.c.failed + progress.failed,
        input_tokens=BATCHES.c.input_tokens + progress.usage.input_tokens,
        output_tokens=BATCHES.c.output_tokens + progress.usage.output_tokens,
        cached_tokens=BATCHES.c.cached_tokens + progress.usage.cached_tokens,
        reasoning_tokens=BATCHES.c.reasoning_tokens + progress.usage.reasoning_tokens,
    )
    return held(connection, lease)


def finalize(connection: Connection, lease: Lease) -> StoredBatch:
    """Let no more lines of a batch in progress be sent; return the batch as it is now.

    A batch that has lines without a result at this point has expired.

    Raises:
        LeaseLost: another replica works on it.
    """
    batch = held(connection, lease)
    if batch.status == "in_progress":
        is_expired = bool(pending(connection, lease.batch_id, -1, 1))
        marked = {"expired_at": int(database.now_s(connection))} if is_expired else {}
        batch = replace(batch, times={**batch.times, **marked})
        _enter(connection, lease, batch, "finalizing")
    return held(connection, lease)


def chunks(connection: Connection, batch_id: str) -> list[Chunk]:
    """Return the chunks of a batch in the order of their recording."""
    query = select(CHUNKS).where(CHUNKS.c.batch_id == batch_id).order_by(CHUNKS.c.serial)
    return [
        Chunk(row.id, row.num_output_bytes, row.num_error_bytes)
        for row in connection.execute(query)
    ]


def finish(
    connection: Connection,
    lease: Lease,
    status: BatchStatus,
    output: StoredFile | None,
    error: StoredFile | None,
) -> None:
    """End a batch with its result files; the lease ends with it.

    Raises:
        LeaseLost: another replica works on it.
    """
    batch = held(connection, lease)
    for file in (output, error):
        if file is not None:
            files.add(connection, file)
    _remove_work(connection, lease.batch_id)
    _enter(
        connection,
        lease,
        batch,
        status,
        output_file_id=output and output.id,
        error_file_id=error and error.id,
    )


def _remove_work(connection: Connection, batch_id: str) -> None:
    connection.execute(delete(LINES).where(LINES.c.batch_id == batch_id))
    connection.execute(delete(CHUNKS).where(CHUNKS.c.batch_id == batch_id))


def _enter(
    connection: Connection, lease: Lease, batch: StoredBatch, status: BatchStatus, **values: Any
) -> None:
    times = {**batch.times, f"{status}_at": int(database.now_s(connection))}
    _change(connection, lease, status=status, times=times, **values)


def _change(connection: Connection, lease: Lease, **values: Any) -> None:
    connection.execute(update(BATCHES).where(BATCHES.c.id == lease.batch_id).values(**values))


def _line(row: Row[Any]) -> PlannedLine:
    return PlannedLine(row.position, row.number, row.start, row.num_bytes)
