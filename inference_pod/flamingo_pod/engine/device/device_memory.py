"""The memory of a GPU, as PyTorch's allocator reports it."""

import gc
from typing import Protocol

import torch


class DeviceMemory(Protocol):
    """What is measured of a device's memory, in bytes."""

    def usable_bytes(self) -> int:
        """Return what this process holds and what is free beside it."""
        ...

    def held_bytes(self) -> int:
        """Return what this process holds, after freeing what it does not use."""
        ...

    def start_peak(self) -> None:
        """Begin to measure a peak."""
        ...

    def peak_bytes(self) -> int:
        """Return how much more was allocated at once, since `start_peak`, than at its start."""
        ...


class CudaMemory:
    """The current CUDA device."""

    def __init__(self) -> None:
        self._start_bytes = 0

    def usable_bytes(self) -> int:
        """Return what this process holds and what is free: the CUDA context is neither."""
        free_bytes, _ = torch.cuda.mem_get_info()
        return free_bytes + torch.cuda.memory_reserved()

    def held_bytes(self) -> int:
        """Return what the allocator has reserved, with the private pools of CUDA graphs."""
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    def start_peak(self) -> None:
        """Begin to measure a peak."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        self._start_bytes = torch.cuda.memory_allocated()

    def peak_bytes(self) -> int:
        """Return how much more was allocated at once than at the start of the measurement."""
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - self._start_bytes


def of_device(device: torch.device) -> DeviceMemory | None:
    """Return the memory of the device; None where nothing is measured, on a CPU."""
    return CudaMemory() if device.type == "cuda" else None


def release_unused() -> None:
    """Give what the allocator keeps for later back to the device, on a GPU."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
