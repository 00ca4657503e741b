"""Copies between host and device that nothing waits for, until their values are read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]


def to_device(arrays: Sequence[Array], device: torch.device) -> list[torch.Tensor]:
    """Return the arrays as tensors of the same types and shapes, after one copy.

    On CUDA it is a copy from pinned memory, which the stream waits for and the host does not; on
    a CPU the tensors share one buffer. Arrays without elements are not copied: theirs are `(0,)`.
    """
    tensors = [torch.empty(0, device=device)] * len(arrays)
    order = [n for n, array in enumerate(arrays) if array.size]
    if not order:
        return tensors
    order.sort(key=lambda n: -arrays[n].itemsize)  # so that each array is aligned
    parts = [arrays[n].reshape(-1).view(np.uint8) for n in order]
    buffer = torch.from_numpy(np.concatenate(parts))
    if device.type == "cuda":
        buffer = buffer.pin_memory().to(device, non_blocking=True)
    on_device = torch.split(buffer, [len(part) for part in parts])
    for n, part in zip(order, on_device, strict=True):
        tensors[n] = part.view(_DTYPES[arrays[n].dtype]).view(arrays[n].shape)
    return tensors


_DTYPES = {
    np.dtype(np.int64): torch.int64,
    np.dtype(np.int32): torch.int32,
    np.dtype(np.float64): torch.float64,
    np.dtype(np.float32): torch.float32,
    np.dtype(np.uint8): torch.uint8,
}


class HostCopy:
    """Tensors on their way to the host, in one copy that is queued when this is created."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._shapes = [(tensor.shape, tensor.is_floating_point()) for tensor in tensors]
        words = [_as_int64(tensor).reshape(-1) for tensor in tensors]
        self._words = words[0] if len(words) == 1 else torch.cat(words)
        self._is_copied: torch.cuda.Event | None = None
        if self._words.is_cuda:
            on_device = self._words
            self._words = torch.empty(on_device.shape, dtype=torch.int64, pin_memory=True)
            self._words.copy_(on_device, non_blocking=True)
            self._is_copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._is_copied.record()
        elif len(words) == 1:
            self._words = self._words.clone()  # the next step may write its results there

    def wait(self) -> list[Array]:
        """Return the tensors' values once they have arrived, as int64 or float64."""
        if self._is_copied is not None:
            self._is_copied.synchronize()
        words: Array = self._words.numpy()
        values, at = [], 0
        for shape, is_float in self._shapes:
            part = words[at : at + shape.numel()].reshape(shape)
            values.append(part.view(np.float64) if is_float else part)
            at += shape.numel()
        return values


def _as_int64(tensor: torch.Tensor) -> torch.Tensor:
    """Return integers, or the bits of a float64, which holds every float32 exactly."""
    return tensor.double().view(torch.int64) if tensor.is_floating_point() else tensor.long()
