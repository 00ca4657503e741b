"""Connections to the database, and transactions that outlive a lost one.

SQLite has one connection on one thread, and a lock on a file beside it, so that a second process
is refused. PostgreSQL has a pool, and as many threads.
"""

import asyncio
import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from flamingo_common.errors import Unavailable
from flamingo_common.service import logs
from flamingo_common.service.backoff import backoff_s

T = TypeVar("T")
POOL_SIZE = 8
FIRST_RETRY_S, MAX_RETRY_S = 0.1, 5.0
PATIENCE_S = 3.0
"""How long a request waits for the database before it gets status 503."""
RETRY_AFTER_S = 5.0
BUSY_TIMEOUT_S = 30.0
LIBPQ_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "flamingo-batches",
}
"""A server that vanished without a word is noticed within half a minute."""


class DatabaseInUse(Exception):
    """Another process has the SQLite file open."""


class Database:
    """A database. All attributes may be used from the event loop only."""

    def __init__(self, address: str) -> None:
        """Prepare connections; none is opened yet.

        Raises:
            DatabaseInUse: another process uses this SQLite file.
        """
        url = make_url(address)
        self.is_shared = url.get_backend_name() == "postgresql"
        """Whether several replicas can use it."""
        self._was_reached: bool | None = None
        self._lock = None if self.is_shared else _lock_file(url)
        self.engine = _postgresql(url) if self.is_shared else _sqlite(url)
        self._threads = ThreadPoolExecutor(
            POOL_SIZE if self.is_shared else 1, thread_name_prefix="database"
        )

    async def run(
        self, work: Callable[..., T], *args: Any, patience_s: float | None = PATIENCE_S
    ) -> T:
        """Return `work(connection, *args)`, called inside of a transaction.

        It is called again if the connection was lost, so it must have no more effect twice
        than once. Without a `patience_s` it is repeated until it succeeds.

        Raises:
            Unavailable: the database was not reachable for `patience_s`.
        """
        started_s, num_failures = time.monotonic(), 0
        while True:
            try:
                result: T = await self._on_thread(self._transact, work, *args)
            except DBAPIError as error:
                if not _is_transient(error):
                    raise
                num_failures += 1
                self._note_lost(error)
                if patience_s is not None and time.monotonic() - started_s > patience_s:
                    raise Unavailable(
                        "the database of files and batches cannot be reached; retry",
                        retry_after_s=RETRY_AFTER_S,
                    ) from error
            else:
                self._note_connected()
                return result
            wait_s = backoff_s(num_failures, first_s=FIRST_RETRY_S, max_s=MAX_RETRY_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    @property
    def is_connected(self) -> bool:
        """Whether the last transaction reached the database."""
        return bool(self._was_reached)

    def close(self) -> None:
        """Close all connections; transactions that are running end first."""
        self._threads.shutdown(wait=True)
        self.engine.dispose()
        if self._lock is not None:
            os.close(self._lock)

    async def _on_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _transact(self, work: Callable[..., T], *args: Any) -> T:
        with self.engine.begin() as connection:
            return work(connection, *args)

    def _note_lost(self, error: DBAPIError) -> None:
        if self._was_reached is not False:
            logs.get().error("database.unreachable", reason=_reason(error))
        self._was_reached = False

    def _note_connected(self) -> None:
        if not self._was_reached:
            logs.get().info("database.connected", address=str(self.engine.url))
        self._was_reached = True


def now_s(connection: Connection) -> float:
    """Return seconds since 1970 on one clock for all replicas: the database's."""
    if connection.dialect.name == "postgresql":
        asked = sqlalchemy.func.extract("epoch", sqlalchemy.func.clock_timestamp())
        return float(connection.execute(sqlalchemy.select(asked)).scalar_one())
    return time.time()


def _is_transient(error: DBAPIError) -> bool:
    """Return whether a new connection may do: the old one was lost, or the server is starting."""
    if isinstance(error.orig, sqlite3.Error):
        return "locked" in str(error.orig) or "busy" in str(error.orig)
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())[:300]


def _postgresql(url: URL) -> Engine:
    query = {name: value for name, value in LIBPQ_DEFAULTS.items() if name not in url.query}
    return sqlalchemy.create_engine(
        url.set(drivername="postgresql+psycopg").update_query_dict(query),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_pre_ping=True,
        # Poolers such as PgBouncer know no prepared statements of another connection.
        connect_args={"prepare_threshold": None},
    )


def _sqlite(url: URL) -> Engine:
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.pool.StaticPool, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own would begin too late
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _lock_file(url: URL) -> int:
    """Lock the file for as long as the process lives; return the lock's descriptor."""
    path = Path(url.database or "batches.db")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise DatabaseInUse(
            f"{path} is used by another process; several replicas need PostgreSQL"
        ) from None
    return lock
