"""Leases: one replica works on a batch, and only it changes anything."""

import pytest
from fakes.stored_batches import new_batch

from flamingo_batches.records import PlannedLine, Usage
from flamingo_batches.store import batches, work
from flamingo_batches.store.database import Database, DatabaseInUse
from flamingo_batches.store.migrate import upgrade
from flamingo_batches.store.work import Chunk, Lease, LeaseLost, Progress

LINES = [PlannedLine(position, position + 1, 0, 1) for position in range(4)]


@pytest.fixture
def database(tmp_path):
    made = Database(f"sqlite:///{tmp_path}/b.db")
    with made.engine.begin() as connection:
        upgrade(connection)
    yield made
    made.close()


@pytest.fixture
def connection(database):
    with database.engine.begin() as opened:
        yield opened


def add(connection):
    batch = new_batch()
    batches.add(connection, batch, max_active=10)
    return batch.id


def progress(*positions):
    return Progress(positions, len(positions), 0, Usage(1, 1, 0))


def test_one_replica_claims_a_batch_until_its_lease_ends(connection):
    batch_id = add(connection)
    assert work.claim(connection, "one", 60, []).id == batch_id
    assert work.claim(connection, "two", 60, []) is None
    work.release(connection, Lease(batch_id, "one", 60), after_s=-1)
    assert work.claim(connection, "two", 60, ["alice"]) is None
    assert work.claim(connection, "two", 60, ["bob"]).id == batch_id


def test_states_that_no_batch_is_in_are_counted(connection):
    """Otherwise their gauges would keep the last number."""
    assert set(batches.num_by_status(connection).values()) == {0}
    batch_id = add(connection)
    assert batches.num_by_status(connection)["validating"] == 1
    lease = Lease(batch_id, "one", 60)
    work.claim(connection, "one", 60, [])
    work.begin(connection, lease, LINES)
    counts = batches.num_by_status(connection)
    assert (counts["validating"], counts["in_progress"]) == (0, 1)


def test_a_cancelled_batch_is_first_and_counts_for_no_owner(connection):
    older, cancelled = add(connection), add(connection)
    batches.cancel(connection, "alice", cancelled)
    assert work.claim(connection, "one", 60, ["alice"]).id == cancelled
    assert work.claim(connection, "one", 60, []).id == older


@pytest.mark.parametrize(
    "change",
    [
        work.renew,
        lambda connection, lease: work.begin(connection, lease, LINES),
        lambda connection, lease: work.fail(connection, lease, [], 0),
        lambda connection, lease: work.record(connection, lease, Chunk("c", 1, 0), progress(0)),
        work.finalize,
        lambda connection, lease: work.finish(connection, lease, "completed", None, None),
    ],
)
def test_a_replica_that_lost_its_lease_changes_nothing(connection, change):
    batch_id = add(connection)
    work.claim(connection, "one", -1, [])
    work.claim(connection, "two", 60, [])
    with pytest.raises(LeaseLost):
        change(connection, Lease(batch_id, "one", 60))
    assert batches.find(connection, "alice", batch_id).status == "validating"


def begun(connection):
    batch_id = add(connection)
    work.claim(connection, "one", 60, [])
    lease = Lease(batch_id, "one", 60)
    work.begin(connection, lease, LINES)
    return lease


def test_a_chunk_that_is_recorded_twice_counts_once(connection):
    lease = begun(connection)
    for _ in range(2):  # the connection was lost after the commit
        batch = work.record(connection, lease, Chunk("c", 5, 0), progress(0, 2))
    assert (batch.completed, batch.usage) == (2, Usage(1, 1, 0))
    left = work.pending(connection, lease.batch_id, -1, 10)
    assert [line.position for line in left] == [1, 3]


def test_a_line_that_has_a_result_gets_no_other(database):
    with database.engine.begin() as connection:
        lease = begun(connection)
        work.record(connection, lease, Chunk("c", 5, 0), progress(0))
    with pytest.raises(AssertionError), database.engine.begin() as connection:
        work.record(connection, lease, Chunk("d", 5, 0), progress(0, 1))
    with database.engine.begin() as connection:
        assert [chunk.id for chunk in work.chunks(connection, lease.batch_id)] == ["c"]


def test_a_batch_whose_lines_are_begun_twice_has_them_once(connection):
    lease = begun(connection)
    work.begin(connection, lease, LINES)
    assert len(work.pending(connection, lease.batch_id, -1, 10)) == len(LINES)


def test_lines_that_are_left_mean_that_the_batch_has_expired(connection):
    lease = begun(connection)
    assert "expired_at" in work.finalize(connection, lease).times
    other = begun(connection)
    work.record(connection, other, Chunk("c", 5, 0), progress(0, 1, 2, 3))
    assert "expired_at" not in work.finalize(connection, other).times


def test_a_second_process_is_refused_the_same_file(tmp_path, database):
    with pytest.raises(DatabaseInUse, match="several replicas need PostgreSQL"):
        Database(f"sqlite:///{tmp_path}/b.db")
