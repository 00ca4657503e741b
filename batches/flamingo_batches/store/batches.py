"""Queries about batches, as clients see them."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.engine import Connection

from flamingo_batches.records import ACTIVE, CANCELLABLE, STATUSES, StoredBatch, Usage
from flamingo_batches.store import database, pages
from flamingo_batches.store.pages import PageRequest
from flamingo_batches.store.schema import BATCHES
from flamingo_common.errors import BadRequest, QuotaExceeded


def add(connection: Connection, batch: StoredBatch, max_active: int) -> None:
    """Add a batch, unless it was added already.

    Raises:
        QuotaExceeded: its owner has `max_active` batches that are not finished.
    """
    if find(connection, batch.owner, batch.id) is not None:
        return
    active = select(func.count()).where(
        BATCHES.c.owner == batch.owner, BATCHES.c.status.in_(ACTIVE)
    )
    if connection.execute(active).scalar_one() >= max_active:
        raise QuotaExceeded(
            f"this API key has {max_active} batches that are not finished, its maximum;"
            " wait for one of them, or cancel one"
        )
    connection.execute(insert(BATCHES).values(**_columns(batch)))


def find(connection: Connection, owner: str, batch_id: str) -> StoredBatch | None:
    """Return a batch; None if the owner has no such batch."""
    query = select(BATCHES).where(BATCHES.c.id == batch_id, BATCHES.c.owner == owner)
    row = connection.execute(query).one_or_none()
    return to_batch(row) if row else None


def page(connection: Connection, owner: str, asked: PageRequest) -> tuple[list[StoredBatch], bool]:
    """Return one page of the owner's batches, and whether there are more."""
    rows, has_more = pages.read(connection, BATCHES, asked, [BATCHES.c.owner == owner])
    return [to_batch(row) for row in rows], has_more


def cancel(connection: Connection, owner: str, batch_id: str) -> StoredBatch | None:
    """Let a batch be cancelled; return it, or None if the owner has no such batch.

    Raises:
        BadRequest: it is too late.
    """
    query = select(BATCHES).where(BATCHES.c.id == batch_id, BATCHES.c.owner == owner)
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        return None
    if row.status in CANCELLABLE:
        times = {**row.times, "cancelling_at": int(database.now_s(connection))}
        change = update(BATCHES).where(BATCHES.c.id == batch_id)
        connection.execute(change.values(status="cancelling", times=times))
    elif row.status not in {"cancelling", "cancelled"}:
        raise BadRequest(f"a batch that is {row.status} cannot be cancelled")
    return find(connection, owner, batch_id)


def is_input_in_use(connection: Connection, file_id: str) -> bool:
    """Return whether a batch that is not finished reads this file."""
    query = select(BATCHES.c.id).where(
        BATCHES.c.input_file_id == file_id, BATCHES.c.status.in_(ACTIVE)
    )
    return connection.execute(query.limit(1)).first() is not None


def active(connection: Connection, batch_ids: Collection[str]) -> set[str]:
    """Return those of the ids whose batch is not finished."""
    query = select(BATCHES.c.id).where(BATCHES.c.id.in_(batch_ids), BATCHES.c.status.in_(ACTIVE))
    return set(connection.execute(query).scalars())


def num_by_status(connection: Connection) -> dict[str, int]:
    """Return the number of batches in each state, also of those that none is in."""
    query = select(BATCHES.c.status, func.count()).group_by(BATCHES.c.status)
    found = {row[0]: row[1] for row in connection.execute(query)}
    return {status: found.get(status, 0) for status in STATUSES}


def num_lines_left(connection: Connection) -> int:
    """Return the number of lines without an outcome, of all batches in progress."""
    left = BATCHES.c.total - BATCHES.c.completed - BATCHES.c.failed
    query = select(func.coalesce(func.sum(left), 0)).where(BATCHES.c.status == "in_progress")
    return int(connection.execute(query).scalar_one())


def to_batch(row: Row[Any]) -> StoredBatch:
    """Return the batch in a row of the table."""
    return StoredBatch(
        id=row.id,
        owner=row.owner,
        endpoint=row.endpoint,
        input_file_id=row.input_file_id,
        status=row.status,
        created_at=row.created_at,
        expires_at=row.expires_at,
        times=row.times,
        total=row.total,
        completed=row.completed,
        failed=row.failed,
        usage=Usage(row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens),
        metadata=row._mapping["metadata"],  # noqa: SLF001 - how SQLAlchemy names it
        faults=row.faults,
        output_file_id=row.output_file_id,
        error_file_id=row.error_file_id,
        output_expires_after_s=row.output_expires_after_s,
    )


def _columns(batch: StoredBatch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "owner": batch.owner,
        "endpoint": batch.endpoint,
        "input_file_id": batch.input_file_id,
        "status": batch.status,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        "times": dict(batch.times),
        "total": batch.total,
        "completed": batch.completed,
        "failed": batch.failed,
        "input_tokens": batch.usage.input_tokens,
        "output_tokens": batch.usage.output_tokens,
        "cached_tokens": batch.usage.cached_tokens,
        "reasoning_tokens": batch.usage.reasoning_tokens,
        "metadata": batch.metadata,
        "output_expires_after_s": batch.output_expires_after_s,
    }
