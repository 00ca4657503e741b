"""The batch sizes for which a decoding step is recorded, and batches padded to one of them.

Pure.
"""

import bisect

import numpy as np

from flamingo_pod.engine.model_runner.batch import Batch, Int32s

BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256)
"""A padded row costs as much as a real one, and each recorded size memory and time at the start."""


def bucket_of(num_rows: int) -> int | None:
    """Return the least bucket with at least `num_rows`; None if there is none."""
    at = bisect.bisect_left(BUCKETS, num_rows)
    return BUCKETS[at] if at < len(BUCKETS) else None


def up_to(max_rows: int) -> tuple[int, ...]:
    """Return the buckets that batches of up to `max_rows` need."""
    return BUCKETS[: bisect.bisect_left(BUCKETS, max_rows) + 1]


def is_decoding_only(batch: Batch) -> bool:
    """Whether each chunk is one row whose next token is sampled."""
    return len(batch.runs) == batch.num_rows == len(batch.sampled_rows)


def unused(num_rows: int, trash_slot: int) -> Batch:
    """Return a batch of padded rows only."""
    none = np.zeros(0, dtype=np.int32)
    return padded(Batch(none, none, none, none, none.reshape(0, 4), none), num_rows, trash_slot)


def trial(num_rows: int) -> Batch:
    """Return a batch of rows that differ in all of their arrays, each attending to itself alone."""
    rows = np.arange(num_rows + 1, dtype=np.int32)
    zeros = np.zeros(num_rows, dtype=np.int32)
    return Batch(
        token_ids=rows[:-1],
        positions=rows[1:],
        slots=rows[:-1],
        row_starts=rows,
        runs=np.stack((rows[:-1], zeros + 1, zeros, zeros), axis=1),
        sampled_rows=rows[:-1],
    )


def padded(batch: Batch, num_rows: int, trash_slot: int) -> Batch:
    """Return a decoding batch with rows added that write to and read from `trash_slot` alone."""
    num_added = num_rows - batch.num_rows
    rows = np.arange(num_rows + 1, dtype=np.int32)
    trash = np.tile(np.array([trash_slot, 1, 0, 0], dtype=np.int32), (num_added, 1))
    return Batch(
        token_ids=_extended(batch.token_ids, num_added, 0),
        positions=_extended(batch.positions, num_added, 0),
        slots=_extended(batch.slots, num_added, trash_slot),
        row_starts=rows,
        runs=np.concatenate((batch.runs, trash)),
        sampled_rows=rows[:-1],
    )


def _extended(array: Int32s, num_added: int, value: int) -> Int32s:
    return np.concatenate((array, np.full(num_added, value, dtype=np.int32)))
