"""Linear layers in FP8: weights with one scale per output, activations with one per token.

A value is a `float8_e4m3fn` (4 bits of exponent, 3 of mantissa, at most 448) times the float32
scale of its row. Weights are quantized once; activations while they are used, each row by its
own largest value (vLLM's dynamic per-token quantization), so nothing has to be calibrated, and
no value is ever clipped. The product is torch's own, with row-wise scales: on CUDA it needs
compute capability 8.9. A CPU computes the same, slower than without quantization.
"""

import functools
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import ScalingType, scaled_mm

from flamingo_common.service import logs

DTYPE = torch.float8_e4m3fn
MAX = 448.0
"""The largest value of the data type."""
MIN_SCALE = 1e-12
"""For rows of zeros, which have no scale of their own."""
MULTIPLE = 16
"""Of which CUDA's product needs both widths of a weight to be (cuBLASLt: 16 bytes)."""
READ_ROWS = 256
"""CUTLASS' row-wise product reads the scales of whole tiles, past the last row (pytorch#133334)."""
FUSED_GROUPS = (
    ("self_attn", ("q_proj", "k_proj", "v_proj")),
    ("self_attn", ("o_proj",)),
    ("mlp", ("gate_proj", "up_proj")),
    ("mlp", ("down_proj",)),
)
"""The projections of a decoder layer, by the product that they are fused into."""


KERNEL_MODULE = "flamingo_pod.model.fp8_kernel"


@dataclass(frozen=True, slots=True)
class Fp8Matrix:
    """A matrix in FP8: a weight of `(out, in)`, or activations of `(rows, in)`."""

    data: torch.Tensor
    """float8_e4m3fn."""
    scale: torch.Tensor
    """float32 `(rows, 1)`: what the values of each row are multiplied by."""


Quantizer = Callable[[torch.Tensor], Fp8Matrix]


def quantize(matrix: torch.Tensor) -> Fp8Matrix:
    """Return a matrix of any floating-point type in FP8.

    A row that has a value which is not finite becomes NaN, and the other rows stay as they are.
    """
    wide = matrix.float()
    scale = (wide.abs().amax(-1, keepdim=True) / MAX).clamp_min(MIN_SCALE)
    return Fp8Matrix((wide / scale).clamp(-MAX, MAX).to(DTYPE), scale)


def quantize_readably(matrix: torch.Tensor) -> Fp8Matrix:
    """Return what `quantize` does, with memory behind the scales that a product may read."""
    quantized = quantize(matrix)
    num_rows = len(quantized.scale)
    readable = quantized.scale.new_empty(-(-num_rows // READ_ROWS) * READ_ROWS, 1)
    return Fp8Matrix(quantized.data, readable[:num_rows].copy_(quantized.scale))


def dequantize(matrix: Fp8Matrix) -> torch.Tensor:
    """Return the matrix in float32."""
    return matrix.data.float() * matrix.scale


def linear(rows: torch.Tensor, weight: Fp8Matrix, bias: torch.Tensor | None) -> torch.Tensor:
    """Return `(…, out)` in the data type of `rows` `(…, in)`; sums are in float32."""
    quantized = _quantizer(rows.device.type)(rows.reshape(-1, rows.shape[-1]))
    result = product(quantized, weight, bias, rows.dtype)
    return result.view(*rows.shape[:-1], result.shape[-1])


def product(
    rows: Fp8Matrix, weight: Fp8Matrix, bias: torch.Tensor | None, dtype: torch.dtype
) -> torch.Tensor:
    """Return `(rows, out)` in `dtype` for quantized `rows` `(rows, in)`; sums are in float32."""
    # CUDA's row-wise kernels write bfloat16 only.
    written = torch.bfloat16 if rows.data.is_cuda else dtype
    return scaled_mm(
        rows.data,
        weight.data.t(),
        rows.scale,
        ScalingType.RowWise,
        weight.scale.t(),
        ScalingType.RowWise,
        bias=None if bias is None else bias.to(written),
        output_dtype=written,
    ).to(dtype)


@functools.cache
def _quantizer(device_type: str) -> Quantizer:
    """Return what quantizes activations: on a GPU one kernel, if it agrees with `quantize`."""
    if device_type != "cuda":
        return quantize
    try:  # the module can only be imported where Triton is
        kernel: Quantizer = importlib.import_module(KERNEL_MODULE).quantize
        if agrees(kernel, device_type):
            return kernel
        reason = "its results differ from those of torch"
    except Exception as error:  # noqa: BLE001 - whatever it is, torch is there
        reason = f"{type(error).__name__}: {error}"
    logs.get().warning("fp8.kernel_not_used", kernel=KERNEL_MODULE, reason=reason)
    return quantize_readably


def agrees(kernel: Quantizer, device_type: str) -> bool:
    """Return whether `kernel` returns what `quantize` does for rows of several widths and sizes."""
    for width in (64, 3584, 18944):
        rows = torch.randn(5, width, generator=torch.Generator().manual_seed(width))
        rows *= torch.tensor([[1.0], [0.0], [1e-6], [1e4], [torch.nan]])
        for dtype in (torch.float32, torch.bfloat16):
            given = rows.to(device_type, dtype)
            expected, found = quantize(given), kernel(given)
            same = torch.equal(found.data[:4].float(), expected.data[:4].float())
            if not same or not torch.allclose(
                found.scale, expected.scale, rtol=0, atol=0, equal_nan=True
            ):
                return False
    return True


class Fp8Linear(torch.nn.Module):
    """Takes the place of a `torch.nn.Linear`; its parameters have compressed-tensors' names."""

    def __init__(self, matrix: Fp8Matrix, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(matrix.data, requires_grad=False)
        self.weight_scale = torch.nn.Parameter(matrix.scale, requires_grad=False)
        self.bias = None if bias is None else torch.nn.Parameter(bias, requires_grad=False)

    @property
    def matrix(self) -> Fp8Matrix:
        """The weight."""
        return Fp8Matrix(self.weight.data, self.weight_scale.data)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `(…, out)` for `rows` of `(…, in)`."""
        return linear(rows, self.matrix, self.bias)


def has_fp8(module: torch.nn.Module) -> bool:
    """Return whether a layer within `module` is in FP8."""
    return any(isinstance(each, Fp8Linear) for each in module.modules())


def quantize_layers(layers: Iterable[Any], device: str, report: Callable[[int], None]) -> None:
    """Replace the linear layers of decoder `layers` by FP8 ones on `device`.

    One weight after the other is moved and quantized, so that `device` never has more than one
    of them in both types. Each weight's size in bytes, as it was, is reported.
    """
    for layer in layers:
        for part, names in FUSED_GROUPS:
            parent = getattr(layer, part)
            if all(_is_quantizable(getattr(parent, name)) for name in names):
                for name in names:
                    report(quantize_module(parent, name, device))


def _is_quantizable(module: Any) -> bool:
    return isinstance(module, torch.nn.Linear) and not any(
        width % MULTIPLE for width in module.weight.shape
    )


@torch.no_grad()
def quantize_module(parent: Any, name: str, device: str) -> int:
    """Replace a linear layer by one in FP8 on `device`; return the bytes that its weight had."""
    weight = getattr(parent, name).weight
    replace(parent, name, quantize(weight.to(device)))
    return int(weight.numel() * weight.element_size())


@torch.no_grad()
def replace(parent: Any, name: str, matrix: Fp8Matrix) -> None:
    """Replace a linear layer by one in FP8, on the device of `matrix`; the bias stays."""
    bias = getattr(parent, name).bias
    moved = None if bias is None else bias.detach().to(matrix.data.device)
    setattr(parent, name, Fp8Linear(matrix, moved))
