"""What is measured of clips whose tempo and key are known."""

import itertools

import numpy as np
import pytest
from clips import music, synthesise
from fakes.measuring import needs_measure

from flamingo_common.measured.keys import MusicKey, key_relation
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.measurement import measure

pytestmark = needs_measure
RATE_HZ = music.RATE_HZ


def of_file(samples, rate_hz=RATE_HZ, **limits):
    with MemoryFile() as file:
        file.write(synthesise.encoded(samples, rate_hz, "WAV", "FLOAT"))
        return measure.measure_clip(file.address, DecodeLimits(**({"max_seconds": 1200} | limits)))


@pytest.mark.parametrize("bpm", [40, 66.6, 80, 97, 120, 140, 180])
def test_a_click_track_has_its_tempo_and_its_beats(bpm):
    samples, times_s = music.clicks(bpm, seconds=30)
    beats, reason = measure.measure_beats(samples, 0.0)
    assert reason == ""
    assert beats.tempo_bpm == pytest.approx(bpm, rel=0.01)
    assert beats.strength > 0.5
    inside = [beat_s for beat_s in beats.times_s if times_s[0] - 0.1 < beat_s < times_s[-1] + 0.1]
    assert len(inside) >= 0.9 * len(beats.times_s)
    errors_s = [np.abs(times_s - beat_s).min() for beat_s in inside]
    assert np.median(errors_s) < 0.012


@pytest.mark.parametrize("bpm", [160, 174, 200, 220, 240])
def test_a_fast_click_track_has_a_beat_at_each_click(bpm):
    samples, times_s = music.clicks(bpm, seconds=30)
    beats, _ = measure.measure_beats(samples, 0.0)
    assert beats.tempo_bpm == pytest.approx(bpm, rel=0.01)
    assert len(beats.times_s) == pytest.approx(len(times_s), abs=4)
    errors_s = [np.abs(times_s - beat_s).min() for beat_s in beats.times_s[1:-1]]
    assert np.median(errors_s) < 0.012


def test_a_pulse_that_is_too_fast_for_a_tempo_has_half_of_it():
    beats, _ = measure.measure_beats(music.clicks(300, seconds=30)[0], 0.0)
    assert beats.tempo_bpm == pytest.approx(150, rel=0.01)


@pytest.mark.parametrize("hats", [0.25, 0.6])
@pytest.mark.parametrize("bpm", [80, 120, 128])
@pytest.mark.parametrize("pattern", ["rock, hats in eighths", "house", "techno", "half time"])
def test_hats_between_the_beats_do_not_double_the_tempo(pattern, bpm, hats):
    beats, _ = measure.measure_beats(music.drums(bpm, pattern, hats=hats), 0.0)
    assert beats.tempo_bpm == pytest.approx(bpm, rel=0.01)


@pytest.mark.parametrize("hats", [0.25, 0.6])
def test_fast_drums_have_their_tempo_or_half_of_it(hats):
    samples = music.drums(174, "rock, hats in eighths", hats=hats)
    beats, _ = measure.measure_beats(samples, 0.0)
    assert any(beats.tempo_bpm == pytest.approx(174 / part, rel=0.01) for part in (1, 2))


def test_songs_have_their_key_in_all_24_or_one_that_is_related():
    relations = []
    for number, (mode, tonic) in enumerate(itertools.product(music.MODES, range(12))):
        found, reason = measure.measure_key(music.song(tonic, mode, number, seed=number))
        if reason:
            assert "equally well" in reason
        else:
            relations.append(key_relation(found.key, MusicKey(tonic, mode)))
    assert relations.count("same") >= 20
    assert relations.count("other") <= 1


def test_beats_of_a_part_are_on_the_clips_clock():
    samples, times_s = music.clicks(120, seconds=40)
    found = of_file(samples, start_s=20.0, end_s=32.0)
    assert found.beats.tempo_bpm == pytest.approx(120, rel=0.01)
    assert 20 <= found.beats.times_s[0] < 21.1
    assert 31 < found.beats.times_s[-1] < 32.1
    assert max(np.abs(times_s - beat_s).min() for beat_s in found.beats.times_s) < 0.02


def test_a_part_has_its_own_loudness_and_key():
    quiet, loud = 0.05 * music.song(0, "major", seed=1), music.song(6, "minor", seed=2)
    samples = np.concatenate([quiet, loud])
    first, last = of_file(samples, end_s=16.0), of_file(samples, start_s=len(quiet) / RATE_HZ)
    assert (first.key.key, last.key.key) == (MusicKey(0, "major"), MusicKey(6, "minor"))
    assert last.loudness.integrated_lufs - first.loudness.integrated_lufs > 20


def test_only_the_beginning_of_a_truncated_clip_is_measured():
    samples, _ = music.clicks(100, seconds=30)
    found = of_file(samples, max_seconds=10, truncate=True)
    assert 9 < found.beats.times_s[-1] < 10.1


def noise(seconds=20):
    return np.random.default_rng(1).normal(0, 0.1, RATE_HZ * seconds).astype(np.float32)


def tone(seconds=20):
    time_s = np.arange(RATE_HZ * seconds) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


def random_clicks():
    rng = np.random.default_rng(4)
    samples = rng.normal(0, 1e-4, RATE_HZ * 30)
    for start in rng.integers(0, len(samples) - 100, 60):
        samples[start : start + 100] += rng.normal(size=100)
    return samples.astype(np.float32)


@pytest.mark.parametrize("samples", [noise(), tone(), random_clicks()])
def test_what_has_no_beat_and_no_key_says_so(samples):
    found = of_file(samples)
    assert (found.beats, found.key) == (None, None)
    assert "beat" in found.reasons["tempo_bpm"]
    assert "fit" in found.reasons["key"]
    assert found.loudness.integrated_lufs is not None


@pytest.mark.parametrize("seconds", [0.03, 0.1, 1.0, 1.99])
def test_a_short_clip_says_that_it_is_short(seconds):
    found = of_file(tone()[: int(seconds * RATE_HZ)])
    assert (found.beats, found.key) == (None, None)
    assert "shorter" in found.reasons["tempo_bpm"]
    assert "shorter" in found.reasons["key"]


def test_silence_says_that_it_is_silent():
    found = of_file(np.zeros(RATE_HZ * 10, np.float32))
    assert len(found.reasons) == 5
    assert all("silent" in reason for reason in found.reasons.values())


@pytest.mark.parametrize("num_channels", [2, 6, 8])
def test_a_clip_of_many_channels_is_measured(num_channels):
    samples = np.repeat(music.clicks(120)[0][:, np.newaxis], num_channels, axis=1)
    found = of_file(np.repeat(samples, 3, axis=0), 48_000)
    assert found.beats.tempo_bpm == pytest.approx(120, rel=0.01)
    assert found.loudness.integrated_lufs is not None
