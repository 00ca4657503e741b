"""Device functions that round and multiply alike in compiled kernels and in Triton's interpreter.

Triton's interpreter (3.9 and before) represents bfloat16 by its bits: arithmetic on it and `tl.dot`
of it compute with these as integers (triton-lang/triton#11584), and a conversion to it truncates.
So all arithmetic of the kernels is in float32, and what depends on bfloat16 is in this file.
"""

import triton
import triton.language as tl

EXACT = {"enable_fp_fusion": False}
"""Options of all launches: no product is fused with a sum, so both round as in torch."""


@triton.jit
def _is_compiled() -> None:
    """Do nothing; what `triton.jit` makes of a function says whether kernels are interpreted."""


IS_INTERPRETED = tl.constexpr(not isinstance(_is_compiled, triton.JITFunction))
"""Whether TRITON_INTERPRET was set when this module was imported: kernels then run on a CPU."""


@triton.jit
def round_to(values: tl.tensor, dtype: tl.constexpr) -> tl.tensor:
    """Return float32 `values` as `dtype`, rounded to nearest, ties to even."""
    if IS_INTERPRETED and dtype == tl.bfloat16:
        bits = values.to(tl.int32, bitcast=True)
        bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) << 16
        nearest = bits.to(tl.float32, bitcast=True)
        values = tl.where(values == values, nearest, values)  # noqa: PLR0124 - not for NaN
    return values.to(dtype)


@triton.jit
def product(left: tl.tensor, right: tl.tensor) -> tl.tensor:
    """Return the matrix product of `left` and `right` in float32, exact for their dtype.

    float32 is not rounded to TF32, so that a kernel in float32 can be compared with its reference.
    """
    if IS_INTERPRETED:
        left = left.to(tl.float32)
        right = right.to(tl.float32)
    return tl.dot(left, right, input_precision="ieee")
