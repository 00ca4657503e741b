"""Noise as a function of key and token id, not a stream: a sequence's does not depend on others.

It is the same on every device, bit for bit, and in the kernel (`kernels/noise.py`): only integers
and single float32 operations are used, which IEEE 754 defines. Logarithms differ between libraries
in their last bit, and one bit decides between two tokens once in a million.
"""

import functools
import math

import torch

from flamingo_pod.engine.sampling.noise_keys import BITS, GOLDEN, MIXES

UNIT = -(2.0**-64)
SQRT_HALF_BITS = 0x3F3504F3
"""Of the float32 next to sqrt(1/2): mantissas are taken from there to sqrt(2), around 1."""
EXPONENT_MASK = -(2**23)
LOG_2_BITS = -math.log(2) * 2**-23
"""What one unit of an exponent's bits subtracts from a negative logarithm."""
SERIES = (-2.0, -0.66655622, -0.41201995)
"""Of -2 atanh(s) / s in s * s, within 1.5e-7 of it for mantissas from sqrt(1/2) to sqrt(2)."""


def _signed(word: int) -> int:
    return word - 2**64 if word >> 63 else word


_ZERO, _ONE, _UNIT, _LOG_2_BITS, *_SERIES = map(torch.tensor, (0.0, 1.0, UNIT, LOG_2_BITS, *SERIES))
_SQRT_HALF_BITS, _EXPONENT_MASK = (
    torch.tensor(bits, dtype=torch.int32) for bits in (SQRT_HALF_BITS, EXPONENT_MASK)
)
_GOLDEN = torch.tensor(_signed(GOLDEN))
_MIXES = [
    (
        torch.tensor(shift),
        torch.tensor(BITS >> shift),
        None if factor == 1 else torch.tensor(_signed(factor)),
    )
    for shift, factor in MIXES
]
"""Tensors, since torch converts a number in each operation anew; a GPU takes these as numbers."""


def steps(ids: torch.Tensor) -> torch.Tensor:
    """Return what token ids, int64, add to their rows' keys."""
    return (ids + 1).mul_(_GOLDEN)


@functools.cache
def steps_of_all(vocabulary_size: int, device: torch.device) -> torch.Tensor:
    """Return the steps of a whole vocabulary `(vocabulary,)`."""
    return steps(torch.arange(vocabulary_size, device=device))


def gumbel(keys: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Return standard Gumbel noise in float32, `(rows, n)`.

    `keys` is int64 `(rows, 1)`, as `noise_keys.position_keys` returns them; `steps` is `(n,)` or
    `(rows, n)`.
    """
    # A word, as a fraction of 2**64, is a uniform u. Its sign says which half u is in, and the
    # fraction itself is -u or 1 - u: the one that is finer near 0. Small u are the large noise,
    # so probabilities of 1 in 10^12 occur, too.
    part = _words(keys, steps).float().mul_(_UNIT)
    whole = torch.le(part, _ZERO, out=torch.empty_like(part))
    rest = part + whole  # 1 - u
    part -= torch.sub(rest, whole, out=whole)  # and what its rounding has lost
    exponent = _split(rest)
    part += torch.sub(rest, _ONE, out=whole)
    exponential = _minus_log(exponent, rest, part)
    exponent = _split(exponential)
    return _minus_log(exponent, exponential, torch.sub(exponential, _ONE, out=rest))


def _words(keys: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    words = steps + keys
    shifted = torch.empty_like(words)
    for shift, bits, factor in _MIXES:
        torch.bitwise_right_shift(words, shift, out=shifted)  # it copies the sign of an int64
        words ^= shifted.bitwise_and_(bits)
        if factor is not None:
            words *= factor
    return words


def _split(values: torch.Tensor) -> torch.Tensor:
    """Make each value its mantissa, and return the exponents as bits, int32."""
    bits = values.view(torch.int32)
    exponent = (bits - _SQRT_HALF_BITS).bitwise_and_(_EXPONENT_MASK)
    bits -= exponent
    return exponent


def _minus_log(
    exponent: torch.Tensor, mantissa: torch.Tensor, mantissa_minus_1: torch.Tensor
) -> torch.Tensor:
    """Return -log(2**exponent * mantissa); overwrites the mantissas.

    log(m) is 2 atanh(s) for s = (m - 1) / (m + 1).
    """
    ratio = mantissa_minus_1.div_(mantissa.add_(_ONE))
    square = torch.mul(ratio, ratio, out=mantissa)
    first, second, third = _SERIES
    result = (square * third).add_(second).mul_(square).add_(first).mul_(ratio)
    return result.add_(exponent.float().mul_(_LOG_2_BITS))
