"""One step's rows as arrays: their tokens, positions and KV slots, and what each chunk attends to.

A row is one token. The rows of decoding sequences come first, one each; then come the chunks of
prompts, several rows each. A chunk attends to at most two runs of consecutive KV slots, and its
own rows are the last slots of the last run. So four numbers describe what a chunk attends to,
however many tokens that are, and they are made once a step for all layers.

Pure.
"""

from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flamingo_pod.engine.scheduling.step_plan import Chunk

Int32s = NDArray[np.int32]
Runs = tuple[int, int, int, int]
"""`(first slot, length)` of a run, and of the run behind it, which may be empty."""


UNREAD = np.zeros(1, dtype=np.int32)
"""In place of a token that only the device knows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one step; all arrays are int32."""

    token_ids: Int32s
    """`(rows,)`"""
    positions: Int32s
    """`(rows,)`, of each token in its sequence."""
    slots: Int32s
    """`(rows,)`, where each row's KV is written."""
    row_starts: Int32s
    """`(chunks + 1,)`: a chunk's rows are those from its start to the next one's."""
    runs: Int32s
    """`(chunks, 4)`: the slots that the last row of each chunk attends to, as `Runs`.

    Row `j` of a chunk of `n` attends to all but the last `n - 1 - j` of them.
    """
    sampled_rows: Int32s
    """`(sampled chunks,)`: the last rows of the chunks whose next token is sampled."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self.token_ids)

    @property
    def num_single(self) -> int:
        """How many chunks at the beginning have one row: all that decode, and no other row."""
        has_more = np.diff(self.row_starts) != 1
        return int(has_more.argmax()) if has_more.any() else len(has_more)


@dataclass(frozen=True, slots=True)
class AudioRows:
    """Rows whose input embeddings are audio."""

    row: int
    """The first of them in the batch."""
    first: int
    """Its index among the clip's audio tokens."""
    num: int


def build(chunks: Sequences[Chunk]) -> Batch:
    """Return the rows of at least one chunk."""
    described = [(chunk.start, chunk.num_tokens, *runs_of(chunk)) for chunk in chunks]
    table = np.array(described, dtype=np.int32)
    starts, num_rows, runs = table[:, 0], table[:, 1], table[:, 2:]
    row_starts = starts_of(num_rows)
    stops = np.where(runs[:, 3] > 0, runs[:, 2] + runs[:, 3], runs[:, 0] + runs[:, 1])
    within = np.arange(row_starts[-1], dtype=np.int32) - np.repeat(row_starts[:-1], num_rows)
    token_ids = [_ids(chunk) for chunk in chunks]
    is_sampled = [chunk.is_sampled for chunk in chunks]
    return Batch(
        token_ids=np.concatenate(token_ids).astype(np.int32, copy=False),
        positions=np.repeat(starts, num_rows) + within,
        slots=np.repeat(stops - num_rows, num_rows) + within,
        row_starts=row_starts,
        runs=np.ascontiguousarray(runs),
        sampled_rows=row_starts[1:][is_sampled] - 1,
    )


def starts_of(lengths: Int32s) -> Int32s:
    """Return where runs of these lengths start, one behind the other, and where the last ends."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _ids(chunk: Chunk) -> Int32s:
    return UNREAD if chunk.is_unread else chunk.sequence.ids(chunk.start, chunk.stop)


def chunks_from(batch: Batch, first: int) -> Batch:
    """Return the chunks of `batch` from number `first` on, as a batch of their own.

    Nothing is sampled from it: its `sampled_rows` are empty.
    """
    row = batch.row_starts[first]
    return Batch(
        token_ids=batch.token_ids[row:],
        positions=batch.positions[row:],
        slots=batch.slots[row:],
        row_starts=batch.row_starts[first:] - row,
        runs=batch.runs[first:],
        sampled_rows=batch.sampled_rows[:0],
    )


def runs_of(chunk: Chunk) -> Runs:
    """Return the slots that a chunk's last row attends to.

    A chunk never crosses the end of the prefix: while that is not computed, the chunk is in it.
    """
    sequence = chunk.sequence
    prefix, tail = sequence.prefix, sequence.tail
    assert tail is not None
    if prefix is None or prefix.extent is None:
        return tail.start, chunk.stop, 0, 0
    start = prefix.extent.start
    if not prefix.is_computed:
        return start, chunk.stop, 0, 0
    num_behind = chunk.stop - prefix.num_tokens
    if tail.start == prefix.extent.stop:
        return start, chunk.stop, 0, 0
    return start, prefix.num_tokens, tail.start, num_behind


def audio_rows(chunk: Chunk, row: int) -> AudioRows | None:
    """Return the audio among a chunk's rows, of which the first is `row`; None without any."""
    prefix = chunk.sequence.prefix
    if prefix is None or prefix.is_computed:
        return None
    first = max(chunk.start, prefix.audio_start)
    num = min(chunk.stop, prefix.num_tokens) - first
    if num <= 0:
        return None
    return AudioRows(row + first - chunk.start, first - prefix.audio_start, num)
