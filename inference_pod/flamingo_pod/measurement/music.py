"""Beats and notes of mono samples at 16 kHz, found by librosa.

Samples are processed in blocks of a minute, so that memory does not grow with the clip. librosa is
imported by the first call: it brings a compiler, which only a process that measures should have.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flamingo_common.audio.windows import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
HOP_SAMPLES = 256
WINDOW_SAMPLES = 1024
NUM_BANDS = 64
FRAMES_PER_S = SAMPLE_RATE_HZ / HOP_SAMPLES
FLOOR = 1e-7
"""Power below which a band is silent: 70 dB below a loud one."""
BLOCK_FRAMES = 60 * SAMPLE_RATE_HZ // HOP_SAMPLES
ONSET_DELAY_S = 0.019
"""How much earlier than a click its onset is the strongest: measured with clicks at 40 to 300
BPM, 16 to 22 ms."""
TEMPOGRAM_FRAMES = 512
"""About 8 s."""
CHROMA_HOP_SAMPLES = 1024


def librosa() -> Any:
    """Return the module; importing it takes seconds."""
    return importlib.import_module("librosa")


def band_levels(samples: Samples) -> NDArray[np.float32]:
    """Return the level of each band in each frame in dB, `(bands, frames)`."""
    module = librosa()
    bands = np.concatenate(
        [
            module.feature.melspectrogram(
                y=block,
                sr=SAMPLE_RATE_HZ,
                n_fft=WINDOW_SAMPLES,
                hop_length=HOP_SAMPLES,
                n_mels=NUM_BANDS,
                center=False,
            )
            for block in _framed_blocks(samples)
        ],
        axis=1,
    )
    levels: NDArray[np.float32] = module.power_to_db(bands, ref=1.0, amin=FLOOR, top_db=None)
    return levels


def onset_strengths(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how strong the onsets are in each frame, `(frames,)`, of the levels of bands."""
    strengths: NDArray[np.float32] = (
        librosa()
        .onset.onset_strength(S=levels, sr=SAMPLE_RATE_HZ, hop_length=HOP_SAMPLES, center=False)
        .astype(np.float32)
    )
    return strengths


def _framed_blocks(samples: Samples) -> Iterator[Samples]:
    """Yield the samples of a minute of frames each; frames are centred, with silence around."""
    half = WINDOW_SAMPLES // 2
    num_frames = 1 + len(samples) // HOP_SAMPLES
    for first in range(0, num_frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, num_frames) - 1
        start, stop = first * HOP_SAMPLES - half, last * HOP_SAMPLES + half
        inside = samples[max(start, 0) : stop]
        yield np.pad(inside, (max(-start, 0), max(stop - len(samples), 0)))


def likely_tempo_bpm(onsets: NDArray[np.float32]) -> float:
    """Return the tempo at which the onsets repeat most, near those that are usual."""
    module = librosa()
    options = {"sr": SAMPLE_RATE_HZ, "hop_length": HOP_SAMPLES}
    totals = np.zeros(TEMPOGRAM_FRAMES)
    for first in range(0, len(onsets), BLOCK_FRAMES):
        block = onsets[first : first + BLOCK_FRAMES]
        tempogram = module.feature.tempogram(
            onset_envelope=block, win_length=TEMPOGRAM_FRAMES, **options
        )
        totals += tempogram.sum(axis=1)
    mean = totals[:, np.newaxis] / len(onsets)
    return float(np.ravel(module.feature.tempo(tg=mean, **options))[0])


def beat_frames(onsets: NDArray[np.float32], tempo_bpm: float) -> NDArray[np.int64]:
    """Return the frames of the beats nearest to a tempo, whether the music has a beat or not."""
    _, frames = librosa().beat.beat_track(
        onset_envelope=onsets,
        bpm=tempo_bpm,
        units="frames",
        sr=SAMPLE_RATE_HZ,
        hop_length=HOP_SAMPLES,
    )
    found: NDArray[np.int64] = np.asarray(frames, np.int64)
    return found


def mean_chroma(samples: Samples) -> NDArray[np.float64]:
    """Return the mean strength of the notes C to B, `(12,)`, whatever the music is tuned to."""
    module = librosa()
    block_samples = BLOCK_FRAMES * HOP_SAMPLES
    middle = max(len(samples) - block_samples, 0) // 2
    tuning = module.estimate_tuning(y=samples[middle : middle + block_samples], sr=SAMPLE_RATE_HZ)
    totals = np.zeros(12)
    for start in range(0, len(samples), block_samples):
        chroma = module.feature.chroma_cqt(
            y=samples[start : start + block_samples],
            sr=SAMPLE_RATE_HZ,
            hop_length=CHROMA_HOP_SAMPLES,
            tuning=tuning,
            norm=None,
        )
        totals += chroma.sum(axis=1)
    return totals / (1 + len(samples) // CHROMA_HOP_SAMPLES)
