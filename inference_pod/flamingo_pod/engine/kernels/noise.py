"""The noise of `sampling/noise.py`, bit for bit: the same integers, and the same float operations.

Launches of kernels that use it need `rounding.EXACT`: a product that is fused with a sum would be
another number.
"""

import triton
import triton.language as tl

from flamingo_pod.engine.sampling import noise
from flamingo_pod.engine.sampling.noise_keys import GOLDEN, MIXES

STEP = tl.constexpr(GOLDEN)
SHIFT_1, FACTOR_1 = (tl.constexpr(number) for number in MIXES[0])
SHIFT_2, FACTOR_2 = (tl.constexpr(number) for number in MIXES[1])
SHIFT_3 = tl.constexpr(MIXES[2][0])
UNIT = tl.constexpr(noise.UNIT)
SQRT_HALF_BITS = tl.constexpr(noise.SQRT_HALF_BITS)
EXPONENT_MASK = tl.constexpr(noise.EXPONENT_MASK)
LOG_2_BITS = tl.constexpr(noise.LOG_2_BITS)
FIRST, SECOND, THIRD = (tl.constexpr(number) for number in noise.SERIES)


@triton.jit
def _exponent(values: tl.tensor) -> tl.tensor:
    """Return the exponents as bits."""
    return (values.to(tl.int32, bitcast=True) - SQRT_HALF_BITS) & EXPONENT_MASK


@triton.jit
def _mantissa(values: tl.tensor, exponent: tl.tensor) -> tl.tensor:
    """Return the mantissas, around 1."""
    return (values.to(tl.int32, bitcast=True) - exponent).to(tl.float32, bitcast=True)


@triton.jit
def _minus_log(exponent: tl.tensor, mantissa: tl.tensor, mantissa_minus_1: tl.tensor) -> tl.tensor:
    """Return -log(2**exponent * mantissa)."""
    ratio = tl.div_rn(mantissa_minus_1, mantissa + 1.0)
    square = ratio * ratio
    series = ((square * THIRD + SECOND) * square + FIRST) * ratio
    return series + exponent.to(tl.float32) * LOG_2_BITS


@triton.jit
def gumbel(key: tl.tensor, ids: tl.tensor) -> tl.tensor:
    """Return the noise of token ids, int32, in a row with this key, int64."""
    words = (ids.to(tl.uint64) + 1) * STEP + key.to(tl.uint64, bitcast=True)
    words = (words ^ (words >> SHIFT_1)) * FACTOR_1
    words = (words ^ (words >> SHIFT_2)) * FACTOR_2
    words = words ^ (words >> SHIFT_3)
    part = words.to(tl.int64, bitcast=True).to(tl.float32) * UNIT
    whole = tl.where(part <= 0.0, 1.0, 0.0)
    rest = part + whole
    lost = part - (rest - whole)
    exponent = _exponent(rest)
    mantissa = _mantissa(rest, exponent)
    exponential = _minus_log(exponent, mantissa, lost + (mantissa - 1.0))
    exponent = _exponent(exponential)
    mantissa = _mantissa(exponential, exponent)
    return _minus_log(exponent, mantissa, mantissa - 1.0)
