"""Which implementation computes the decoder layers, chosen at start: Triton kernels, or torch.

On a GPU the kernels are compared with torch first. One that cannot be compiled, or disagrees, means
that none of them is used, since a wrong answer is worse than a slow one.
"""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from flamingo_common.service import logs
from flamingo_pod.engine.kernels import availability
from flamingo_pod.engine.model_runner.attention import flash_check
from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.attention.flash import FlashAttention
from flamingo_pod.engine.model_runner.attention.interface import Attention
from flamingo_pod.engine.model_runner.kv import KvPool
from flamingo_pod.engine.model_runner.layer_ops import LayerOps, TorchLayerOps
from flamingo_pod.engine.sampling.launch import SamplingKernels
from flamingo_pod.model.dimensions import ModelDimensions

BackendName = Literal["torch", "triton"]


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """An implementation, and why it is this one."""

    name: BackendName
    reason: str


@dataclass(frozen=True, slots=True)
class Backend:
    """The parts of the decoder layers that differ between implementations."""

    attention: Attention
    ops: LayerOps
    is_recordable: bool
    """Whether a step can be recorded as a CUDA graph: nothing depends on the host's arrays."""
    sampling_kernels: SamplingKernels | None = None


class KernelResult(Protocol):
    """What the self-test of a kernel found; `KernelCheck` is one."""

    @property
    def kernel(self) -> str:
        """Its name."""
        ...

    @property
    def largest_error(self) -> float:
        """Relative to the largest value of the reference."""
        ...

    @property
    def limit(self) -> float:
        """Of that error."""
        ...

    @property
    def failure(self) -> str | None:
        """The error that the kernel raised."""
        ...

    @property
    def is_ok(self) -> bool:
        """Whether the kernel may be used."""
        ...


def choose(
    of: ModelDimensions, device: torch.device, dtype: torch.dtype, *, is_fp8: bool
) -> BackendChoice:
    """Return the implementation for a model of these dimensions on a device.

    `is_fp8` says whether its layers are in FP8, which has kernels of its own.
    """
    if reason := unavailable_reason(device):
        return BackendChoice("torch", reason)
    return judge(kernel_results(of, device, dtype, is_fp8=is_fp8))


def unavailable_reason(device: torch.device) -> str | None:
    """Return why the kernels cannot run on a device, or None if they can."""
    if device.type != "cuda":
        return f"the device is {device.type}, and Triton is for GPUs"
    failure = availability.import_failure()
    return f"Triton cannot be imported: {failure}" if failure else None


def kernel_results(
    of: ModelDimensions, device: torch.device, dtype: torch.dtype, *, is_fp8: bool
) -> Sequence[KernelResult]:
    """Return how far each kernel is from torch; where Triton can be imported."""
    self_test = importlib.import_module("flamingo_pod.engine.kernels.self_test")
    found: Sequence[KernelResult] = self_test.check_kernels(
        self_test.kernel_dimensions(of), device, dtype, is_fp8=is_fp8
    )
    return found


def judge(results: Iterable[KernelResult]) -> BackendChoice:
    """Return Triton if all kernels agree with torch."""
    refused = [_refusal(result) for result in results if not result.is_ok]
    if refused:
        return BackendChoice("torch", "; ".join(refused))
    return BackendChoice("triton", "all kernels agree with torch")


def _refusal(result: KernelResult) -> str:
    if result.failure:
        return f"the kernel {result.kernel} failed: {result.failure}"
    return (
        f"the kernel {result.kernel} differs from torch by {result.largest_error:.1e}, and at most"
        f" {result.limit:.1e} is allowed"
    )


def create(name: BackendName, pool: KvPool, num_heads: int) -> Backend:
    """Return an implementation over an empty pool.

    Triton's can only be made where Triton can be imported.
    """
    by_runs = AttentionByRuns(pool, num_heads)
    if name == "torch":
        return Backend(by_runs, TorchLayerOps(), is_recordable=False)
    attention = importlib.import_module("flamingo_pod.engine.model_runner.attention.decode_triton")
    ops = importlib.import_module("flamingo_pod.engine.model_runner.triton_layer_ops")
    decoding = attention.DecodeTritonAttention(pool, _chunk_attention(pool, by_runs))
    plain = importlib.import_module("flamingo_pod.engine.kernels.plain_tokens")
    picked = importlib.import_module("flamingo_pod.engine.kernels.picked_tokens")
    kernels = SamplingKernels(plain.plain_tokens, picked.picked_tokens)
    return Backend(decoding, ops.TritonLayerOps(), True, kernels)


def _chunk_attention(pool: KvPool, by_runs: AttentionByRuns) -> AttentionByRuns | FlashAttention:
    """Return the attention of prompts' chunks: FlashAttention, if it agrees with the reference."""
    if not pool.keys[0].is_cuda:
        return by_runs
    if reason := flash_check.disagreement(pool, by_runs.num_heads):
        logs.get().warning("attention.flash_not_used", reason=reason)
        return by_runs
    return FlashAttention(pool)
