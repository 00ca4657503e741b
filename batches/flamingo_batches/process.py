"""Runs the service of batches as a process, from its settings to its exit status."""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence

from flamingo_batches import app
from flamingo_batches.api.requests import STATE
from flamingo_batches.settings import Settings
from flamingo_batches.store import migrate
from flamingo_batches.store.database import Database, DatabaseInUse
from flamingo_batches.store.migrate import NewerSchema
from flamingo_common.service import logs, settings, traces
from flamingo_common.service import run as service
from flamingo_common.service.exit_status import ExitStatus

MIGRATE = "migrate"
PROG = "flamingo batches"


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until a signal stops the service, or `migrate`; return the exit status."""
    is_migration = [*argv[:1]] == [MIGRATE]
    prog = f"{PROG} {MIGRATE}" if is_migration else PROG
    given = settings.load(Settings, argv[1:] if is_migration else argv, environ, prog=prog)
    logs.configure(service="batches", level=given.log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    traces.configure(service="batches")
    try:
        return asyncio.run(_migrate(given)) if is_migration else _serve(given)
    except (DatabaseInUse, NewerSchema, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)  # noqa: T201 - for the user
        return ExitStatus.INVALID_CONFIGURATION


def _serve(given: Settings) -> int:
    made = app.create(given)
    status = service.run(made, given, drain=lambda: app.drain(made))
    return ExitStatus.INTERNAL_ERROR if made[STATE].has_failed else status


async def _migrate(given: Settings) -> int:
    """Bring the database's schema to this release's, and end."""
    database = Database(given.database_url.get_secret_value())
    try:
        before, after = await database.run(migrate.upgrade, patience_s=None)
    finally:
        database.close()
    logs.get().info("database.migrated", before=before, after=after)
    return ExitStatus.OK
