"""Quantizing activations to FP8 in one launch, by Triton; `fp8.quantize` takes nine.

Only importable where Triton is: on CUDA, torch brings it. One program per row reads it twice, for
its largest value and for its values; the second time it is in the cache of the processor. The
kernels of `engine/kernels` quantize what they compute by the same functions, without a launch more.
"""

import torch
import triton
import triton.language as tl

from flamingo_pod.model.fp8 import DTYPE, MAX, MIN_SCALE, READ_ROWS, Fp8Matrix

BLOCK = 2048
NUM_WARPS = 8
"""Eight values per thread, one load of 16 bytes in bfloat16; a row of 18,944 is ten blocks."""
LARGEST = 3.4028234663852886e38
"""The largest float32: what is above it, or is NaN, is not finite."""


@triton.jit
def _is_compiled() -> None:
    """Do nothing; what `triton.jit` makes of a function says whether kernels are interpreted."""


IS_INTERPRETED = tl.constexpr(not isinstance(_is_compiled, triton.JITFunction))


LIMITS = {"MAX": MAX, "MIN_SCALE": MIN_SCALE, "LARGEST": LARGEST}
"""What all kernels that quantize are given as constants."""


@triton.jit
def _to_fp8(values: tl.tensor) -> tl.tensor:
    """Return values of at most 448 in FP8, rounded to nearest, ties to even.

    Triton's interpreter (3.9) loses the carry of a mantissa into the exponent: 127 becomes 64. What
    it gets is rounded already: to 3 bits, or below 2**-6 to multiples of 2**-9.
    """
    if IS_INTERPRETED:
        bits = values.to(tl.int32, bitcast=True)
        bits = ((bits + 0x7FFFF + ((bits >> 20) & 1)) >> 20) << 20
        subnormal = (values + 1.5 * 2**14) - 1.5 * 2**14
        values = tl.where(tl.abs(values) < 2**-6, subnormal, bits.to(tl.float32, bitcast=True))
    return values.to(tl.float8e4nv, fp_downcast_rounding="rtne")


@triton.jit
def sizes_of(values: tl.tensor, LARGEST: tl.constexpr) -> tl.tensor:
    """Return how large float32 values are: infinity also for NaN, which a maximum may lose."""
    size = tl.abs(values)
    return tl.where(size <= LARGEST, size, float("inf"))


@triton.jit
def scale_of(
    largest: tl.tensor, MAX: tl.constexpr, MIN_SCALE: tl.constexpr, LARGEST: tl.constexpr
) -> tl.tensor:
    """Return the scale of a row by its largest size: NaN if a value of it is not finite."""
    scale = tl.maximum(tl.div_rn(largest, MAX), MIN_SCALE)
    return tl.where(largest <= LARGEST, scale, float("nan"))


@triton.jit
def quantized(values: tl.tensor, scale: tl.tensor, MAX: tl.constexpr) -> tl.tensor:
    """Return float32 values of a row in FP8."""
    divisor = tl.where(scale == scale, scale, 1.0)  # noqa: PLR0124 - not for NaN
    return _to_fp8(tl.minimum(tl.maximum(tl.div_rn(values, divisor), -MAX), MAX))


@triton.jit
def _quantize(
    rows: tl.tensor,
    data: tl.tensor,
    scales: tl.tensor,
    stride: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    MAX: tl.constexpr,
    MIN_SCALE: tl.constexpr,
    LARGEST: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    largest = tl.zeros([BLOCK], tl.float32)
    for start in range(0, WIDTH, BLOCK):
        mask = start + columns < WIDTH
        values = tl.load(rows + row * stride + start + columns, mask, other=0.0).to(tl.float32)
        largest = tl.maximum(largest, sizes_of(values, LARGEST))
    scale = scale_of(tl.max(largest, axis=0), MAX, MIN_SCALE, LARGEST)
    tl.store(scales + row, scale)
    for start in range(0, WIDTH, BLOCK):
        mask = start + columns < WIDTH
        values = tl.load(rows + row * stride + start + columns, mask, other=0.0).to(tl.float32)
        tl.store(data + row * WIDTH + start + columns, quantized(values, scale, MAX), mask)


def allocate(num_rows: int, width: int, device: torch.device) -> Fp8Matrix:
    """Return a matrix to be written, whose scales the product can read."""
    num_readable = triton.cdiv(num_rows, READ_ROWS) * READ_ROWS
    scale = torch.empty((num_readable, 1), dtype=torch.float32, device=device)[:num_rows]
    return Fp8Matrix(torch.empty((num_rows, width), dtype=DTYPE, device=device), scale)


def quantize(rows: torch.Tensor) -> Fp8Matrix:
    """Return what `fp8.quantize` returns for finite `rows` `(rows, in)`: the same values.

    The scale of a row that has a value which is not finite is NaN, and so is its product.
    """
    num_rows, width = rows.shape
    rows = rows if rows.stride(1) == 1 else rows.contiguous()
    result = allocate(num_rows, width, rows.device)
    if num_rows:
        _quantize[(num_rows,)](
            rows,
            result.data,
            result.scale,
            rows.stride(0),
            WIDTH=width,
            BLOCK=BLOCK,
            **LIMITS,
            num_warps=NUM_WARPS,
            enable_fp_fusion=False,
        )
    return result
