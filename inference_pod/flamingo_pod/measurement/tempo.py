"""The tempo of tracked beats, and whether the music has a beat at all.

A tracker finds beats in any sound, since it searches for the most regular ones. Whether there are
any is shown by the autocorrelation of the onsets' strength: music with a steady beat resembles
itself a beat or two later.

A tracker prefers tempos near 120 BPM, and so finds each second beat of fast music. Then what is
halfway between two beats is like the beats themselves: as strong, and with the same spectrum. The
hi-hats between the beats of drums are not: they have no low frequencies.

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
MAX_DOUBLED_BPM = 250.0
"""A faster pulse of equal onsets is rather one of half beats: few pieces have 240 BPM or more."""
ONSET_FRAMES = 2
"""Before and behind a beat, in which its onset is looked for."""
MIN_ALIKE = 0.85
"""Of the spectra of beats and of what is between them. Clicks at half their tempo have 0.98, drums
at their tempo at most 0.8, 85 pieces of game music with a beat at most 0.92, of which those above
0.85 are below 0.65 in `MIN_SHARE` (docs/decisions/0061-measured-beside-guessed.md)."""
MIN_SHARE = 0.8
"""Of the strength of the beats beside them that nine of ten onsets between them must have. Clicks
at half their tempo have 0.97, drums at their tempo 0.75, or other spectra, game music 0.69."""


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


def is_half(tempo_bpm: float, levels: NDArray[np.float32], frames: NDArray[np.int64]) -> bool:
    """Return whether each second beat was missed: between all beats are others like them.

    `levels` are those of bands in dB, `(bands, frames)`, and `frames` those of the beats.
    """
    if len(frames) < MIN_BEATS or 2 * tempo_bpm > MAX_DOUBLED_BPM:
        return False
    beats = _onsets_at(levels, frames)
    between = _onsets_at(levels, (frames[:-1] + frames[1:]) // 2)
    strengths = beats.sum(axis=0)
    beside = (strengths[:-1] + strengths[1:]) / 2
    shares = between.sum(axis=0) / np.maximum(beside, 1e-6)
    return (
        float(np.percentile(shares, 10)) >= MIN_SHARE
        and _likeness(beats.mean(axis=1), between.mean(axis=1)) >= MIN_ALIKE
    )


def _onsets_at(levels: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return by how much each band becomes louder around each frame, `(bands, len(frames))`."""
    total = np.zeros((len(levels), len(frames)), np.float32)
    for offset in range(-ONSET_FRAMES, ONSET_FRAMES + 1):
        at = np.clip(frames + offset, 1, levels.shape[1] - 1)
        total += np.maximum(levels[:, at] - levels[:, at - 1], 0)
    return total


def _likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return what two spectra have in common, as a share of what either has (Ruzicka)."""
    either = float(np.maximum(one, other).sum())
    return float(np.minimum(one, other).sum()) / either if either else 0.0


def _lags(lag: float, num_lags: int) -> slice:
    first, last = int(lag * (1 - TOLERANCE)), int(np.ceil(lag * (1 + TOLERANCE)))
    return slice(min(first, num_lags), min(last + 1, num_lags))
