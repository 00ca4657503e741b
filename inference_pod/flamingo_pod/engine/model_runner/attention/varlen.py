"""Attention of chunks as calls of a kernel for sequences of different lengths.

How it works: such a kernel takes, for each sequence, a run of consecutive rows and a run of
consecutive slots, and masks causally so that the last row sees the last slot. A chunk's last run
is one sequence of a causal call. If it has a run before that, which all its rows see, its rows are
also a sequence of a second call without mask, and the two results are merged. Most steps have no
such chunk: a prefix and the tail of its first user are one run.

Pure.
"""

from dataclasses import dataclass

import numpy as np

from flamingo_pod.engine.model_runner.batch import Batch, Int32s, starts_of


@dataclass(frozen=True, slots=True)
class VarlenCall:
    """Arguments of one call; all arrays are int32."""

    row_starts: Int32s
    """`(sequences + 1,)`: the rows of a sequence are those from its start to the next one."""
    slot_starts: Int32s
    """`(sequences + 1,)`: the first slot of each; the last element is not used."""
    num_slots: Int32s
    """`(sequences,)`"""
    is_causal: bool

    @property
    def max_rows(self) -> int:
        """The most rows of a sequence."""
        return int(np.diff(self.row_starts).max())

    @property
    def max_slots(self) -> int:
        """The most slots of a sequence."""
        return int(self.num_slots.max())


@dataclass(frozen=True, slots=True)
class VarlenPlan:
    """The calls for a batch of chunks."""

    causal: VarlenCall
    """For all rows."""
    full: VarlenCall | None
    """For the rows of chunks with two runs; None if there are none."""
    full_rows: Int32s
    """`(rows,)`: these rows of the batch."""


def plan_calls(batch: Batch) -> VarlenPlan:
    """Return the calls for all chunks of a batch."""
    first, num_first, second, num_second = batch.runs.T
    has_two = num_second > 0
    causal = VarlenCall(
        row_starts=batch.row_starts,
        slot_starts=_ended(np.where(has_two, second, first)),
        num_slots=np.where(has_two, num_second, num_first),
        is_causal=True,
    )
    rows = np.repeat(has_two, np.diff(batch.row_starts))
    full_rows = np.flatnonzero(rows).astype(np.int32)
    if not len(full_rows):
        return VarlenPlan(causal, None, full_rows)
    full = VarlenCall(
        row_starts=starts_of(np.diff(batch.row_starts)[has_two]),
        slot_starts=_ended(first[has_two]),
        num_slots=num_first[has_two],
        is_causal=False,
    )
    return VarlenPlan(causal, full, full_rows)


def _ended(starts: Int32s) -> Int32s:
    return np.append(starts, np.int32(0))
