"""Queries about files."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select
from sqlalchemy.engine import Connection

from flamingo_batches.records import ACTIVE, StoredFile
from flamingo_batches.store import database, pages
from flamingo_batches.store.pages import PageRequest
from flamingo_batches.store.schema import BATCHES, FILES

ID_CHUNK = 500
"""Ids in one query; SQLite allows 32,766 parameters."""


def add(connection: Connection, file: StoredFile) -> None:
    """Add a file, unless it was added already."""
    if find(connection, file.owner, file.id) is None:
        connection.execute(
            insert(FILES).values(
                id=file.id,
                owner=file.owner,
                purpose=file.purpose,
                filename=file.filename,
                num_bytes=file.num_bytes,
                created_at=file.created_at,
                expires_at=file.expires_at,
            )
        )


def find(connection: Connection, owner: str, file_id: str) -> StoredFile | None:
    """Return a file that has not expired; None if the owner has no such file."""
    query = select(FILES).where(FILES.c.id == file_id, *_visible(connection, owner))
    row = connection.execute(query).one_or_none()
    return _file(row) if row else None


def page(
    connection: Connection, owner: str, asked: PageRequest, purpose: str | None
) -> tuple[list[StoredFile], bool]:
    """Return one page of the owner's files, and whether there are more."""
    conditions = list(_visible(connection, owner))
    if purpose is not None:
        conditions.append(FILES.c.purpose == purpose)
    rows, has_more = pages.read(connection, FILES, asked, conditions)
    return [_file(row) for row in rows], has_more


def remove(connection: Connection, file_id: str) -> None:
    """Remove a file; its contents are removed afterwards."""
    connection.execute(delete(FILES).where(FILES.c.id == file_id))


def expired(connection: Connection, limit: int) -> list[str]:
    """Return the ids of files that have expired, but for inputs of batches in progress."""
    in_use = select(BATCHES.c.input_file_id).where(BATCHES.c.status.in_(ACTIVE))
    query = select(FILES.c.id).where(
        FILES.c.expires_at <= database.now_s(connection), FILES.c.id.not_in(in_use)
    )
    return list(connection.execute(query.limit(limit)).scalars())


def known(connection: Connection, file_ids: Collection[str]) -> set[str]:
    """Return those of the ids that a file of any owner has."""
    query = select(FILES.c.id).where(FILES.c.id.in_(file_ids))
    return set(connection.execute(query).scalars())


def owned(connection: Connection, owner: str, file_ids: Sequence[str]) -> dict[str, StoredFile]:
    """Return those of the files that the owner has, by id."""
    found: dict[str, StoredFile] = {}
    for start in range(0, len(file_ids), ID_CHUNK):
        some = file_ids[start : start + ID_CHUNK]
        query = select(FILES).where(FILES.c.id.in_(some), *_visible(connection, owner))
        found |= {row.id: _file(row) for row in connection.execute(query)}
    return found


def num_bytes(connection: Connection, owner: str | None = None) -> int:
    """Return the bytes of all files of an owner, or of all owners."""
    query = select(func.coalesce(func.sum(FILES.c.num_bytes), 0))
    if owner is not None:
        query = query.where(FILES.c.owner == owner)
    return int(connection.execute(query).scalar_one())


def _visible(connection: Connection, owner: str) -> tuple[ColumnElement[bool], ...]:
    now_s = database.now_s(connection)
    return (
        FILES.c.owner == owner,
        or_(FILES.c.expires_at.is_(None), FILES.c.expires_at > now_s),
    )


def _file(row: Row[Any]) -> StoredFile:
    return StoredFile(
        row.id,
        row.owner,
        row.purpose,
        row.filename,
        row.num_bytes,
        row.created_at,
        row.expires_at,
    )
