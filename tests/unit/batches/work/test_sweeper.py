"""The sweeper removes what expired and what nothing refers to, and nothing else."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from flamingo_batches import ids
from flamingo_batches.contents import Contents
from flamingo_batches.records import StoredFile
from flamingo_batches.settings import Settings
from flamingo_batches.state import State
from flamingo_batches.store import files
from flamingo_batches.store.database import Database
from flamingo_batches.store.migrate import upgrade
from flamingo_batches.work import sweeper

NEVER, LONG_AGO = None, 1


@pytest.fixture
def state(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/b.db")
    with database.engine.begin() as connection:
        upgrade(connection)
    yield State(Settings(), database, Contents(str(tmp_path / "contents")))
    database.close()


def add(state, expires_at):
    """Keep a file; return its id."""
    file = StoredFile(ids.new_file(), "alice", "user_data", "a.wav", 1, 0, expires_at)
    with state.database.engine.begin() as connection:
        files.add(connection, file)
    asyncio.run(state.contents.write(ids.contents_path(file.id), b"x"))
    return file.id


def kept(state):
    folder = state.contents.folder
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_files_that_have_expired_are_removed_with_their_contents(state):
    add(state, LONG_AGO)
    file_id = add(state, NEVER)
    asyncio.run(sweeper.remove_expired(state))
    assert kept(state) == {ids.contents_path(file_id)}
    with state.database.engine.begin() as connection:
        assert files.num_bytes(connection, "alice") == 1


def test_contents_that_nothing_refers_to_are_removed_once_they_are_old(state):
    file_id = add(state, NEVER)
    orphans = [ids.contents_path(ids.new_file()), ids.chunk_path("batch_1", "chunk", "output")]
    for path in orphans:
        asyncio.run(state.contents.write(path, b"x"))
    staged = state.contents.folder / "files" / "upload#1"  # of a process that was killed
    staged.write_bytes(b"x")
    now = datetime.now(UTC)
    assert asyncio.run(sweeper.remove_unknown(state, older_than=now - timedelta(hours=1))) == 0
    assert len(kept(state)) == 4
    os.utime(staged, (0, 0))
    later = now + timedelta(hours=1)
    assert asyncio.run(sweeper.remove_unknown(state, older_than=later)) == len(orphans) + 1
    assert kept(state) == {ids.contents_path(file_id)}
