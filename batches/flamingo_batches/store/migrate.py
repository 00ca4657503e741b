"""Brings the database's schema to this release's, by the migrations in this package."""

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

LOCK_KEY = 0x666C616D
"""Of PostgreSQL's advisory lock: one replica migrates, the others wait."""


class NewerSchema(Exception):
    """The database was written by a later release."""


def upgrade(connection: Connection) -> tuple[str | None, str]:
    """Apply the migrations that are missing; return the revision before and after.

    All are applied in the transaction of `connection`, or none.

    Raises:
        NewerSchema: the database has a revision that this release does not know.
    """
    if connection.dialect.name == "postgresql":
        lock = sqlalchemy.func.pg_advisory_xact_lock(LOCK_KEY)
        connection.execute(sqlalchemy.select(lock))
    config = _config(connection)
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head() or ""
    before = MigrationContext.configure(connection).get_current_revision()
    if before not in {None, *(script.revision for script in scripts.walk_revisions())}:
        raise NewerSchema(
            f"the database has revision {before}, which a later release has written;"
            " run that release, or restore a backup"
        )
    if before != newest:
        command.upgrade(config, "head")
    return before, newest


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "flamingo_batches:migrations")
    config.attributes["connection"] = connection
    return config
