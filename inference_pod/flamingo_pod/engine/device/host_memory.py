"""Tensors of a device that are kept in host memory.

On a GPU the copies go to pinned memory and back without waiting: they are in the order of the
stream, so what is loaded again has been stored. Only who reads the host's copy itself waits. On a
CPU nothing is copied.
"""

from collections.abc import Callable

import torch


class HostMemory:
    """Stores tensors of one device on the host."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._is_gpu = device.type == "cuda"

    def store(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a copy on the host, which is complete after `barrier()` was waited for."""
        if not self._is_gpu:
            return tensor
        # The allocator keeps the block until the copy is done, even if it is freed before.
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return copy.copy_(tensor, non_blocking=True)

    def load(self, stored: torch.Tensor) -> torch.Tensor:
        """Return what was stored, on the device."""
        return stored.to(self._device, non_blocking=True)

    def size_bytes(self, tensor: torch.Tensor) -> int:
        """Return the bytes that a stored tensor takes.

        Pinned blocks have sizes of powers of two (c10's CachingHostAllocator).
        """
        num_bytes = tensor.numel() * tensor.element_size()
        return 1 << (num_bytes - 1).bit_length() if self._is_gpu else num_bytes

    def barrier(self) -> Callable[[], None]:
        """Return a function that waits, on any thread, until all that was stored is complete."""
        if not self._is_gpu:
            return lambda: None
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return event.synchronize
