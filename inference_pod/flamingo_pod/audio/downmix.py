"""Mix a clip's channels into one, by the coefficients of ITU-R BS.775.

In a stereo downmix, centre and surround channels count 3 dB less than the front pair, and the LFE
channel is left out. The mono mix is the mean of its two sides, as it is of a stereo file: silent
surrounds cost nothing. Samples are floats, so a mix above full scale is not clipped. The channels
of a layout that names others, or none, count equally.

Pure.
"""

import functools
from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FRONT = sqrt(0.5)
SURROUND = 0.5
GAINS = {
    "FL": FRONT, "FR": FRONT, "FLC": FRONT, "FRC": FRONT, "FC": 1.0, "LFE": 0.0,
    "BL": SURROUND, "BR": SURROUND, "BC": SURROUND, "SL": SURROUND, "SR": SURROUND,
}  # fmt: skip
"""By FFmpeg's names of channels: libswresample's, before they are scaled."""
FRONT_PAIR = frozenset({"FL", "FR"})
INTEGER_SCALES = {
    np.dtype(np.uint8): 2.0**-7,
    np.dtype(np.int16): 2.0**-15,
    np.dtype(np.int32): 2.0**-31,
}
"""Scales full scale to 1. FFmpeg stores 24 bits in the upper bits of 32."""


@functools.cache
def weights(names: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return the weight of each channel, by their names; None if they count equally."""
    gains = [GAINS.get(name) for name in names]
    known = [gain for gain in gains if gain is not None]
    if len(known) < len(names) or len(set(known)) == 1 or not sum(known):
        return None
    # Without a front pair there is no stereo mix to be as loud as.
    whole = 2 * FRONT if FRONT_PAIR.issubset(names) else sum(known)
    return tuple(gain / whole for gain in known)


def to_mono(channels: Sequence[NDArray[Any]], names: tuple[str, ...]) -> Samples:
    """Return the mix of the channels `names`, scaled to full scale 1.

    Row by row, since numpy's `mean` over an axis takes nine times as long.
    """
    each, dtype = weights(names), channels[0].dtype
    mixed = _sum(channels) if each is None else _weighted_sum(channels, each)
    scale = 1.0 / len(channels) if each is None else 1.0
    if dtype != np.float32:
        if dtype == np.uint8:
            mixed -= np.float32(128 * (len(channels) if each is None else sum(each)))
        scale *= INTEGER_SCALES.get(dtype, 1.0)
    if scale != 1:
        mixed *= np.float32(scale)
    return mixed


def _sum(channels: Sequence[NDArray[Any]]) -> Samples:
    first, *others = channels
    if others and first.dtype == np.float32:
        total: Samples = np.add(first, others.pop(0))
    else:
        total = first.astype(np.float32)
    for channel in others:
        total += channel
    return total


def _weighted_sum(channels: Sequence[NDArray[Any]], each: Sequence[float]) -> Samples:
    total: Samples = np.zeros(len(channels[0]), np.float32)
    for channel, weight in zip(channels, each, strict=True):
        if weight:
            total += np.multiply(channel, np.float32(weight), dtype=np.float32, casting="same_kind")
    return total
