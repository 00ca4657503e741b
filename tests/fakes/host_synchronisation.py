"""Forbid what makes the host wait for the device, on machines without one, too.

On a CPU nothing waits, and PyTorch's own check (`torch.cuda.set_sync_debug_mode`) exists on CUDA
only. So two modes look at what is called: one at PyTorch's Python functions, where values become
Python's or NumPy's and where tensors are made of lists; one at the operations below them, which
also sees those that PyTorch calls itself, such as `item` in `if tensor:`.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

FORBIDDEN_FUNCTIONS = {
    *("__array__", "__dlpack__", "__repr__", "cpu", "item", "numpy", "tolist"),
    *("new_tensor", "tensor"),
}
"""Of `torch` and its tensors: they read values, or make a tensor of what is not one."""
FORBIDDEN_OPERATIONS = {
    *("_local_scalar_dense", "allclose", "equal", "is_nonzero"),
    *("_unique2", "bincount", "masked_select", "nonzero", "unique_consecutive", "unique_dim"),
}
"""Of `torch.ops.aten`: they return a value, or a tensor whose shape depends on values."""
INDEXING = {"_index_put_impl_", "_unsafe_index", "index", "index_put", "index_put_"}
"""With a mask they look for its true elements first."""


class HostSynchronisation(AssertionError):
    """An operation that makes the host wait for the device."""


@contextlib.contextmanager
def forbid_host_synchronisation() -> Iterator[None]:
    """Raise `HostSynchronisation` where code would wait for the device.

    It cannot tell whether a tensor on the CPU stands for one on a device: code that runs in it
    keeps the host's values in NumPy arrays and lists. `torch.from_numpy` is allowed, and so is
    `tensor.to(device, non_blocking=True)`. Not seen are legacy constructors (`torch.LongTensor`).
    """
    with contextlib.ExitStack() as stack:
        if torch.cuda.is_available():
            stack.callback(torch.cuda.set_sync_debug_mode, torch.cuda.get_sync_debug_mode())
            torch.cuda.set_sync_debug_mode("error")
        stack.enter_context(_ForbiddenOperations())
        stack.enter_context(_ForbiddenFunctions())
        yield


class _ForbiddenFunctions(TorchFunctionMode):
    """Looks at calls of PyTorch's Python functions."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in FORBIDDEN_FUNCTIONS:
            raise HostSynchronisation(name)
        if name in {"as_tensor", "asarray"} and not isinstance(args[0], torch.Tensor | np.ndarray):
            raise HostSynchronisation(f"{name} of a {type(args[0]).__name__}")
        if name in {"__getitem__", "__setitem__"} and _has_list(args[1]):
            raise HostSynchronisation(f"{name} with a list")
        if name in {"to", "cuda"} and _is_blocking(name, args[1:], kwargs):
            raise HostSynchronisation(f"{name} without non_blocking=True")
        return func(*args, **kwargs)


class _ForbiddenOperations(TorchDispatchMode):
    """Looks at the operations that PyTorch dispatches."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in FORBIDDEN_OPERATIONS or func is torch.ops.aten.repeat_interleave.Tensor:
            raise HostSynchronisation(name)
        if name in INDEXING and any(map(_is_mask, args[1])):
            raise HostSynchronisation(f"{name} with a mask")
        return func(*args, **kwargs)


def _has_list(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list | range | np.ndarray) for part in parts)


def _is_blocking(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a call of `to` or `cuda` names a device and waits for the copy."""
    if "cpu" in (*args, kwargs.get("device")):
        return True  # the host waits for this one in any case
    values = (*args, *kwargs.values())
    has_device = name == "cuda" or any(isinstance(value, str | torch.device) for value in values)
    return has_device and not kwargs.get("non_blocking", False)


def _is_mask(index: Any) -> bool:
    return index is not None and index.dtype in {torch.bool, torch.uint8}
