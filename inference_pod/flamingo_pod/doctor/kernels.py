"""Check the engine's kernels on this machine's GPU, as a pod does when it starts."""

import torch

from flamingo_common.service.checks import Check, ok, warning
from flamingo_pod.engine.model_runner import backends
from flamingo_pod.engine.model_runner.backends import BackendChoice
from flamingo_pod.model.checkpoint import DTYPES
from flamingo_pod.model.dimensions import ModelDimensions


def check(of: ModelDimensions, dtype: str, *, is_fp8: bool) -> Check:
    """Compare the kernels with torch, for a model of these dimensions; takes some seconds."""
    return describe(backends.choose(of, torch.device("cuda"), DTYPES[dtype], is_fp8=is_fp8))


def describe(choice: BackendChoice) -> Check:
    """Return whether the pod would use the engine's kernels."""
    if choice.name == "triton":
        return ok("kernels", choice.reason)
    message = f"a pod would compute with PyTorch's operations, which are slower: {choice.reason}"
    return warning("kernels", message, "report it with the output of flamingo doctor --json")
