"""Migrations lead to the tables that the queries expect."""

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from flamingo_batches.store.migrate import NewerSchema, upgrade
from flamingo_batches.store.schema import BATCHES, METADATA


@pytest.fixture
def connection():
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def test_the_migrations_make_the_tables_of_the_schema(connection):
    before, after = upgrade(connection)
    assert before is None
    assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    assert upgrade(connection) == (after, after)


def test_a_batch_of_the_release_before_has_no_tokens_of_reasoning(connection):
    upgrade(connection)
    row = dict.fromkeys((column.name for column in BATCHES.columns if not column.nullable), 0)
    del row["reasoning_tokens"]
    connection.execute(BATCHES.insert().values(row | {"times": {}, "metadata": None}))
    assert connection.execute(sqlalchemy.select(BATCHES.c.reasoning_tokens)).scalar_one() == 0


def test_a_database_of_a_later_release_is_refused(connection):
    upgrade(connection)
    connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerSchema, match="revision 9999, which a later release has written"):
        upgrade(connection)
