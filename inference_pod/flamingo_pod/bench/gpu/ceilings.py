"""What the device reaches in a plain copy and a plain matrix product, in the same run."""

from collections.abc import Callable

import torch

from flamingo_pod.bench.gpu.physics import Ceilings
from flamingo_pod.bench.gpu.stopwatch import timed

COPY_BYTES = {"cuda": 4 * 2**30, "cpu": 2**28}
SIDE = {"cuda": 8192, "cpu": 1024}
"""Of the square matrices."""
REPEATS = {"cuda": 20, "cpu": 3}


@torch.inference_mode()
def measure(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Return the best of several copies, and of several products of random matrices.

    Zeros would be faster: a GPU's clock depends on the power that changing bits take.
    """
    return Ceilings(_copied_bytes_per_s(device), _product_flops_per_s(device, dtype))


def _copied_bytes_per_s(device: torch.device) -> float:
    num_bytes = COPY_BYTES[device.type]
    source = torch.randint(0, 256, (num_bytes,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * num_bytes / _best_s(lambda: target.copy_(source), device)


def _product_flops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    side = SIDE[device.type]
    left, right = torch.randn(2, side, side, device=device).to(dtype).unbind()
    return 2.0 * side**3 / _best_s(lambda: left @ right, device)


def _best_s(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    times_s = []
    for _ in range(REPEATS[device.type]):
        with timed(device) as watch:
            work()
        times_s.append(watch.elapsed_s)
    return min(times_s)
