"""Pages of lists: rows of one owner by creation, after the last row of the page before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, select
from sqlalchemy.engine import Connection

from flamingo_common.errors import BadRequest


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a client asks for: at most `limit` rows after the one called `after`."""

    after: str | None
    limit: int
    is_ascending: bool


def read(
    connection: Connection,
    table: Table,
    page: PageRequest,
    conditions: Sequence[ColumnElement[bool]],
) -> tuple[list[Row[Any]], bool]:
    """Return the rows of a page, and whether there are more.

    Raises:
        BadRequest: no row that fulfils the conditions is called `page.after`.
    """
    serial = table.c.serial
    query = select(table).where(*conditions)
    if page.after is not None:
        known = select(serial).where(table.c.id == page.after, *conditions)
        last = connection.execute(known).scalar_one_or_none()
        if last is None:
            raise BadRequest(f"after: {page.after[:64]!r} is not in this list", param="after")
        query = query.where(serial > last if page.is_ascending else serial < last)
    query = query.order_by(serial if page.is_ascending else serial.desc()).limit(page.limit + 1)
    rows = list(connection.execute(query))
    return rows[: page.limit], len(rows) > page.limit
