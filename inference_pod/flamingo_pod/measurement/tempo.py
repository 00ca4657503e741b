"""The tempo of tracked beats, and whether the music has a beat at all.

A tracker finds beats in any sound, since it searches for the most regular ones. Whether there are
any is shown by the autocorrelation of the onsets' strength: music with a steady beat resembles
itself a beat or two later.

Pure.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MIN_BEATS = 4
MIN_STRENGTH = 0.2
"""Noise and clicks at random times have less than 0.1, songs with drums 0.3 to 0.8, music in free
time 0.0 to 0.2 (docs/decisions/0061-measured-beside-guessed.md)."""
TOLERANCE = 0.04
"""Of the lag whose autocorrelation counts: beats are not exactly where the frames are."""
LAGS_IN_BEATS = (1, 2)


def steady_tempo_bpm(beats_s: Sequence[float]) -> float | None:
    """Return the tempo of beats, of which some may be missing; None for fewer than four.

    It is the slope of a line through all of them: the time between two of them is known only as
    exactly as the frames are long.
    """
    if len(beats_s) < MIN_BEATS:
        return None
    times_s = np.asarray(beats_s)
    gaps_s = np.diff(times_s)
    counts = np.maximum(np.round(gaps_s / np.median(gaps_s)), 1)
    numbers = np.concatenate([[0.0], np.cumsum(counts)])
    numbers -= numbers.mean()
    beat_s = float(numbers @ (times_s - times_s.mean()) / (numbers @ numbers))
    return 60.0 / beat_s


def beat_strength(onsets: NDArray[np.float32], frames_per_beat: float) -> float:
    """Return how much the onsets' strength resembles itself one or two beats later, 0 to 1."""
    around = onsets - onsets.mean()
    # Through the spectrum: the sums of 20 minutes would take seconds.
    spectrum = np.fft.rfft(around, 2 * len(around))
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: len(around)]
    if products[0] <= 0:
        return 0.0
    strengths = [
        float(products[_lags(frames_per_beat * beats, len(products))].max(initial=0.0))
        for beats in LAGS_IN_BEATS
    ]
    return min(max(strengths) / float(products[0]), 1.0)


def _lags(lag: float, num_lags: int) -> slice:
    first, last = int(lag * (1 - TOLERANCE)), int(np.ceil(lag * (1 + TOLERANCE)))
    return slice(min(first, num_lags), min(last + 1, num_lags))
