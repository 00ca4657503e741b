"""Results are recorded once, also if the last line is done while a chunk is written."""

import asyncio

import pytest
from fakes.stored_batches import new_batch

from flamingo_batches.checks.outcomes import LineResult
from flamingo_batches.contents import Contents
from flamingo_batches.records import PlannedLine, Usage
from flamingo_batches.settings import Settings
from flamingo_batches.state import State
from flamingo_batches.store import batches, work
from flamingo_batches.store.database import Database
from flamingo_batches.store.migrate import upgrade
from flamingo_batches.store.work import Lease
from flamingo_batches.work import results
from flamingo_batches.work.results import Results

NUM_LINES = 6


class SlowContents(Contents):
    """A directory that is told when it may write."""

    def __init__(self, url):
        super().__init__(url)
        self.is_writing, self.may_write = asyncio.Event(), asyncio.Event()

    async def write(self, path, data):
        self.is_writing.set()
        await self.may_write.wait()
        await super().write(path, data)


@pytest.fixture
def database(tmp_path):
    made = Database(f"sqlite:///{tmp_path}/b.db")
    yield made
    made.close()


def begun(connection):
    """Return the lease of a batch in progress."""
    upgrade(connection)
    batch = new_batch()
    batches.add(connection, batch, max_active=10)
    work.claim(connection, "one", 60, [])
    lease = Lease(batch.id, "one", 60)
    work.begin(connection, lease, [PlannedLine(at, at + 1, 0, 1) for at in range(NUM_LINES)])
    return lease


def test_what_is_done_while_a_chunk_is_written_is_recorded_after_it(database, tmp_path):
    with database.engine.begin() as connection:
        lease = begun(connection)

    async def scenario():
        contents, recorded = SlowContents(str(tmp_path / "contents")), []
        state = State(Settings(), database, contents)
        made = Results(state, lease, lambda batch, _: recorded.append(batch.completed))
        recording = asyncio.create_task(made.keep_recording())
        result = LineResult(b"{}\n", is_error=False, usage=Usage(), outcome="completed")
        for position in range(NUM_LINES - 1):
            await made.add(position, result)
        made.finish()
        await contents.is_writing.wait()
        await made.add(NUM_LINES - 1, result)
        contents.may_write.set()
        await recording
        assert recorded == [NUM_LINES - 1, NUM_LINES]

    asyncio.run(scenario())
    with database.engine.begin() as connection:
        sizes = [chunk.num_output_bytes for chunk in work.chunks(connection, lease.batch_id)]
    assert sizes == [3 * (NUM_LINES - 1), 3]


@pytest.mark.parametrize(("elapsed_s", "expected_s"), [(0, 1), (90, 1.5), (1e6, 30)])
def test_results_are_collected_for_longer_in_long_batches(elapsed_s, expected_s):
    assert results.interval_s(elapsed_s) == expected_s
