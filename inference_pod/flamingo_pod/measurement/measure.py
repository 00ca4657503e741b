"""Measure one clip: decode it at its own rate for its loudness, and at 16 kHz for its music.

Runs in a worker process: it imports no torch, and a crash costs one result.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from flamingo_common.audio import windows
from flamingo_common.audio.windows import SAMPLE_RATE_HZ
from flamingo_pod.audio import decode
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFile, MemoryFileAddress
from flamingo_pod.measurement import key_profiles, music, tempo
from flamingo_pod.measurement.loudness import LoudnessMeter
from flamingo_pod.measurement.music import Samples
from flamingo_pod.measurement.results import KEY, TEMPO, Beats, ClipMeasurements, KeyEstimate

MIN_BEATS_S = 4.0
MIN_KEY_S = 2.0
MAX_MUSIC_S = 1800.0
"""Of a longer clip, only the loudness is measured: the memory that beats take grows with it."""
WARM_UP_S = 6.0
SILENT_RMS = 10 ** (-70 / 20)
MIN_CHROMA_VARIATION = 0.08
"""Standard deviation of the notes' strengths by their mean: noise has 0.01, drums made of noise
0.04, songs 0.15 to 0.7."""
MIN_CORRELATION = 0.45
MIN_MARGIN = 0.01
NO_BEAT = "the clip has no steady beat"
SILENT = "the clip is silent"
NO_KEY = "no key fits the notes: the clip has few, or those of no key"


def measure_clip(source: MemoryFileAddress, limits: DecodeLimits) -> ClipMeasurements:
    """Return what can be measured of the clip, or of a part of it.

    Times of beats are on the clip's clock.

    Raises:
        FlamingoError: as `decode.decode_clip`.
    """
    start, stop = windows.frame_samples(limits.start_s, limits.end_s)
    start_s, end_s = start / SAMPLE_RATE_HZ, start / SAMPLE_RATE_HZ + limits.max_seconds
    if stop is not None:
        end_s = min(end_s, stop / SAMPLE_RATE_HZ)
    meter = LoudnessMeter(start_s, end_s)
    with MemoryFile() as target:
        decoded = decode.decode_clip(source, target.address, limits, meter.add)
        samples = target.as_float32()[: decoded.num_samples]
    loudness, reasons = meter.result()
    beats, key = None, None
    if reason := _no_music(samples):
        reasons |= {TEMPO: reason, KEY: reason}
    else:
        beats, reasons[TEMPO] = measure_beats(samples, start_s)
        key, reasons[KEY] = measure_key(samples)
    stated = {name: reason for name, reason in reasons.items() if reason}
    return ClipMeasurements(beats, key, loudness, stated)


def warm_up() -> None:
    """Measure a synthesized clip, so that all code is compiled and imported that others need."""
    seconds = np.arange(int(WARM_UP_S * SAMPLE_RATE_HZ), dtype=np.float32) / SAMPLE_RATE_HZ
    samples = np.sin(2 * np.pi * 440 * seconds) * np.exp(-8 * (seconds % 0.5))
    measure_beats(samples.astype(np.float32), 0.0)
    measure_key(samples.astype(np.float32))


def _no_music(samples: Samples) -> str:
    """Return why nothing about the music can be measured; empty if it can."""
    if len(samples) > MAX_MUSIC_S * SAMPLE_RATE_HZ:
        return f"the clip is longer than {MAX_MUSIC_S:g} s; measure a part of it"
    energy = float(np.dot(samples, samples))
    return SILENT if energy <= SILENT_RMS**2 * len(samples) else ""


def measure_beats(samples: Samples, start_s: float) -> tuple[Beats | None, str]:
    """Return the beats of samples that begin at `start_s`, or why there are none."""
    if len(samples) < MIN_BEATS_S * SAMPLE_RATE_HZ:
        return None, f"the clip is shorter than {MIN_BEATS_S:g} s"
    levels = music.band_levels(samples)
    onsets = music.onset_strengths(levels)
    frames = _tracked_frames(levels, onsets)
    times_s = frames / music.FRAMES_PER_S + music.ONSET_DELAY_S + start_s
    tempo_bpm = tempo.steady_tempo_bpm(times_s.tolist())
    if tempo_bpm is None:
        return None, NO_BEAT
    strength = tempo.beat_strength(onsets, 60 / tempo_bpm * music.FRAMES_PER_S)
    if strength < tempo.MIN_STRENGTH:
        return None, NO_BEAT
    times = tuple(round(float(time_s), 3) for time_s in times_s)
    return Beats(round(tempo_bpm, 2), times, round(strength, 3)), ""


def _tracked_frames(levels: NDArray[np.float32], onsets: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the frames of the beats, which are tracked again if each second one was missed."""
    frames = music.beat_frames(onsets, music.likely_tempo_bpm(onsets))
    tempo_bpm = tempo.steady_tempo_bpm((frames / music.FRAMES_PER_S).tolist())
    if tempo_bpm is None or not tempo.is_half(tempo_bpm, levels, frames):
        return frames
    return music.beat_frames(onsets, 2 * tempo_bpm)


def measure_key(samples: Samples) -> tuple[KeyEstimate | None, str]:
    """Return the key, or why there is none."""
    if len(samples) < MIN_KEY_S * SAMPLE_RATE_HZ:
        return None, f"the clip is shorter than {MIN_KEY_S:g} s"
    with warnings.catch_warnings(action="ignore"):  # librosa's, of a block without notes
        chroma = music.mean_chroma(samples)
    found = key_profiles.fit_key(chroma)
    if (
        found is None
        or found.correlation < MIN_CORRELATION
        or float(chroma.std()) < MIN_CHROMA_VARIATION * float(chroma.mean())
    ):
        return None, NO_KEY
    if found.correlation - found.runner_up_correlation < MIN_MARGIN:
        return None, f"{found.key.name} and {found.runner_up.name} fit the notes equally well"
    return found, ""
