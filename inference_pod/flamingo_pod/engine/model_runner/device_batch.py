"""A batch's arrays on the device of the model, in one copy that nothing waits for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from flamingo_pod.engine.model_runner import batch as batches
from flamingo_pod.engine.model_runner.batch import Batch, Int32s


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """A batch, and its arrays as int32 tensors on the device."""

    host: Batch
    token_ids: torch.Tensor
    """`(rows,)`"""
    positions: torch.Tensor
    """`(rows,)`"""
    slots: torch.Tensor
    """`(rows,)`"""
    row_starts: torch.Tensor
    """`(chunks + 1,)`"""
    runs: torch.Tensor
    """`(chunks, 4)`"""
    sampled_rows: torch.Tensor
    """`(sampled chunks,)`"""


def chunks_from(batch: DeviceBatch, first: int) -> DeviceBatch:
    """Return what `batch.chunks_from` does, without a copy of the rows."""
    row = int(batch.host.row_starts[first])
    return DeviceBatch(
        batches.chunks_from(batch.host, first),
        token_ids=batch.token_ids[row:],
        positions=batch.positions[row:],
        slots=batch.slots[row:],
        row_starts=batch.row_starts[first:] - row,
        runs=batch.runs[first:],
        sampled_rows=batch.sampled_rows[:0],
    )


def pack(batch: Batch, device: torch.device, before: Sequence[Int32s] = ()) -> torch.Tensor:
    """Return `before` and all arrays of the batch as one tensor in the host's memory.

    It is pinned for a GPU.
    """
    packed = torch.from_numpy(np.concatenate((*before, *_arrays(batch))))
    return packed.pin_memory() if device.type == "cuda" else packed


def unpack(batch: Batch, packed: torch.Tensor) -> DeviceBatch:
    """Return the batch whose arrays `packed` has."""
    lengths = [len(array) for array in _arrays(batch)]
    parts: tuple[torch.Tensor, ...] = torch.split(packed, lengths)
    token_ids, positions, slots, row_starts, runs, sampled_rows = parts
    return DeviceBatch(
        batch, token_ids, positions, slots, row_starts, runs.view(-1, 4), sampled_rows
    )


def to_device(batch: Batch, device: torch.device) -> DeviceBatch:
    """Return the batch on `device`."""
    return unpack(batch, pack(batch, device).to(device, non_blocking=True))


def _arrays(batch: Batch) -> tuple[Int32s, ...]:
    runs = batch.runs.reshape(-1)
    rows = batch.token_ids, batch.positions, batch.slots
    return (*rows, batch.row_starts, runs, batch.sampled_rows)
