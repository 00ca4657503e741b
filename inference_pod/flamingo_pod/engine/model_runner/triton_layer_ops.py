"""The parts of a decoder layer between its products by Triton kernels.

It can only be imported where Triton can, see `kernels/availability.py`.
"""

import torch

from flamingo_pod.engine.kernels.activation import silu_mul, silu_mul_fp8
from flamingo_pod.engine.kernels.norm import add_rms_norm, add_rms_norm_fp8
from flamingo_pod.engine.model_runner.layer_ops import Norm
from flamingo_pod.model.linear import Activations


class TritonLayerOps:
    """`LayerOps`, each in one launch; in FP8 what a product in FP8 takes."""

    def add_rms_norm(
        self, hidden: torch.Tensor, delta: torch.Tensor, norm: Norm
    ) -> tuple[torch.Tensor, Activations]:
        """Return the sum and its RMSNorm."""
        if norm.is_fp8:
            return add_rms_norm_fp8(hidden, delta, norm.weight, norm.eps)
        return add_rms_norm(hidden, delta, norm.weight, norm.eps)

    def rms_norm(self, hidden: torch.Tensor, norm: Norm) -> Activations:
        """Return RMSNorm, rounded where transformers rounds it."""
        if norm.is_fp8:
            return add_rms_norm_fp8(hidden, None, norm.weight, norm.eps)[1]
        return add_rms_norm(hidden, None, norm.weight, norm.eps)[1]

    def silu_mul(self, gate_up: torch.Tensor, *, is_fp8: bool) -> Activations:
        """Return SiLU of the first half times the second."""
        return silu_mul_fp8(gate_up) if is_fp8 else silu_mul(gate_up)
