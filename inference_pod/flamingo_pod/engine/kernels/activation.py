"""SiLU and the product with it, in one launch; also in FP8."""

import torch
import triton
import triton.language as tl

from flamingo_pod.engine.kernels.rounding import EXACT, round_to
from flamingo_pod.model import fp8_kernel
from flamingo_pod.model.fp8 import Fp8Matrix
from flamingo_pod.model.fp8_kernel import quantized, scale_of, sizes_of

BLOCK = 1024
NUM_WARPS = 4
"""Eight values per thread, one load of 16 bytes in bfloat16; one row of 18,944 is 19 programs."""


@triton.jit
def _product(
    gate_up: tl.tensor, columns: tl.tensor, mask: tl.tensor, WIDTH: tl.constexpr
) -> tl.tensor:
    """Return the SiLU of a row's values at `columns` times those of its second half."""
    dtype = gate_up.dtype.element_ty
    gate = tl.load(gate_up + columns, mask, other=0.0).to(tl.float32)
    up = tl.load(gate_up + WIDTH + columns, mask, other=0.0).to(tl.float32)
    activated = round_to(gate / (1.0 + tl.exp(-gate)), dtype).to(tl.float32)
    return round_to(activated * up, dtype)


@triton.jit
def _silu_mul(
    gate_up: tl.tensor,
    product: tl.tensor,
    stride: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < WIDTH
    result = _product(gate_up + row * stride, columns, mask, WIDTH)
    tl.store(product + row * WIDTH + columns, result, mask)


@triton.jit
def _silu_mul_fp8(
    gate_up: tl.tensor,
    data: tl.tensor,
    scales: tl.tensor,
    stride: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    MAX: tl.constexpr,
    MIN_SCALE: tl.constexpr,
    LARGEST: tl.constexpr,
) -> None:
    """Compute a row twice: for its largest value, and to write it with the scale of that."""
    row = tl.program_id(0).to(tl.int64)
    of_row = gate_up + row * stride
    largest = tl.zeros([BLOCK], tl.float32)
    for start in range(0, WIDTH, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        values = _product(of_row, columns, columns < WIDTH, WIDTH).to(tl.float32)
        largest = tl.maximum(largest, sizes_of(values, LARGEST))
    scale = scale_of(tl.max(largest, axis=0), MAX, MIN_SCALE, LARGEST)
    tl.store(scales + row, scale)
    for start in range(0, WIDTH, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        values = _product(of_row, columns, columns < WIDTH, WIDTH).to(tl.float32)
        tl.store(data + row * WIDTH + columns, quantized(values, scale, MAX), columns < WIDTH)


def silu_mul(gate_up: torch.Tensor) -> torch.Tensor:
    """Return the SiLU of the first half of each row times its second half, `(rows, width)`.

    `gate_up` is `(rows, 2 * width)` with adjacent columns. The SiLU is computed in float32 and
    rounded before the product, as in `reference.silu_mul`. One launch.
    """
    num_rows, width = gate_up.shape[0], gate_up.shape[1] // 2
    assert gate_up.stride(1) == 1
    product = gate_up.new_empty(num_rows, width)
    grid = (num_rows, triton.cdiv(width, BLOCK))
    _silu_mul[grid](
        gate_up, product, gate_up.stride(0), WIDTH=width, BLOCK=BLOCK, num_warps=NUM_WARPS, **EXACT
    )
    return product


def silu_mul_fp8(gate_up: torch.Tensor) -> Fp8Matrix:
    """Return `silu_mul` as `fp8.quantize` would make it. One launch, of a program for each row."""
    num_rows, width = gate_up.shape[0], gate_up.shape[1] // 2
    assert gate_up.stride(1) == 1
    product = fp8_kernel.allocate(num_rows, width, gate_up.device)
    _silu_mul_fp8[(num_rows,)](
        gate_up,
        product.data,
        product.scale,
        gate_up.stride(0),
        WIDTH=width,
        BLOCK=fp8_kernel.BLOCK,
        num_warps=fp8_kernel.NUM_WARPS,
        **fp8_kernel.LIMITS,
        **EXACT,
    )
    return product
