"""Find the GPU that a model would run on."""

import torch

from flamingo_pod.model.placement import Gpu


def find_gpu() -> Gpu | None:
    """Return the GPU that PyTorch uses by default; None if it can use none."""
    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return Gpu(torch.cuda.get_device_name(), (major, minor))
