"""The parts of a decoder layer between its products: norms with their sums, and the activation."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere

from flamingo_pod.model.linear import Activations


@dataclass(frozen=True, slots=True)
class Norm:
    """An RMSNorm."""

    weight: torch.Tensor
    """`(width,)`."""
    eps: float
    is_fp8: bool = False
    """Whether a product in FP8 takes the result."""


class LayerOps(Protocol):
    """What differs between devices.

    What a product in FP8 takes may be returned in FP8; otherwise the product quantizes it.
    """

    def add_rms_norm(
        self, hidden: torch.Tensor, delta: torch.Tensor, norm: Norm
    ) -> tuple[torch.Tensor, Activations]:
        """Return the sum of `hidden` and `delta`, and its RMSNorm; all are `(rows, width)`."""
        ...

    def rms_norm(self, hidden: torch.Tensor, norm: Norm) -> Activations:
        """Return the RMSNorm of `hidden` `(rows, width)`."""
        ...

    def silu_mul(self, gate_up: torch.Tensor, *, is_fp8: bool) -> Activations:
        """Return SiLU of the first half of `(rows, 2 * width)` times the second half."""
        ...


class TorchLayerOps:
    """`LayerOps` by torch's own operations, on any device; never in FP8."""

    def add_rms_norm(
        self, hidden: torch.Tensor, delta: torch.Tensor, norm: Norm
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sum and its RMSNorm."""
        total = hidden + delta
        return total, self.rms_norm(total, norm)

    def rms_norm(self, hidden: torch.Tensor, norm: Norm) -> torch.Tensor:
        """Return RMSNorm as transformers computes it: in float32, rounded before the weight."""
        weight, eps = norm.weight, norm.eps
        if hidden.dtype == torch.float32:
            return F.rms_norm(hidden, weight.shape, weight, eps)
        return weight * F.rms_norm(hidden.float(), weight.shape, None, eps).to(hidden.dtype)

    def silu_mul(self, gate_up: torch.Tensor, *, is_fp8: bool) -> torch.Tensor:  # noqa: ARG002
        """Return SiLU of the first half times the second."""
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up
