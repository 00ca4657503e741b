"""Synthetic clips: chords on a beat with a little noise, closer to music than white noise.

Pure: the same seed gives the same samples.
"""

import numpy as np
from numpy.typing import NDArray

from flamingo_common.audio import windows

Samples = NDArray[np.float32]
DEGREES = (0, 5, 7, 3, 8, 10)
"""Semitones above the root that a chord may stand on."""
CHORD = (1.0, 1.26, 1.5, 2.0)
"""Root, third, fifth, octave."""


def make_clip(seconds: float, seed: int) -> Samples:
    """Return mono 16 kHz float32 samples within ±1."""
    rng = np.random.default_rng(seed)
    seconds_at = np.arange(round(seconds * windows.SAMPLE_RATE_HZ)) / windows.SAMPLE_RATE_HZ
    beat_s = 60 / rng.uniform(70, 140)
    beats = (seconds_at / beat_s).astype(int)
    roots_hz = rng.uniform(90, 180) * 2 ** (rng.choice(DEGREES, beats[-1] + 1) / 12)
    phase = 2 * np.pi * np.cumsum(roots_hz[beats]) / windows.SAMPLE_RATE_HZ
    chord = sum(np.sin(ratio * phase) + 0.3 * np.sin(2 * ratio * phase) for ratio in CHORD)
    envelope = np.exp(-4 * (seconds_at % beat_s) / beat_s)
    noise = rng.standard_normal(len(seconds_at))
    loud = envelope * (chord + 0.2 * noise) + 0.01 * noise
    samples: Samples = (0.8 * loud / np.abs(loud).max()).astype(np.float32)
    return samples
