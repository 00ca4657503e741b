"""The tempo of beats, some of which were missed."""

import numpy as np
import pytest

from flamingo_pod.measurement import tempo


@pytest.mark.parametrize("bpm", [40, 97.3, 120, 174, 299])
def test_the_tempo_is_exact_though_the_beats_are_rounded_to_frames(bpm):
    beats_s = np.round(np.arange(40) * 60 / bpm / 0.016) * 0.016
    assert tempo.steady_tempo_bpm(beats_s) == pytest.approx(bpm, rel=2e-3)


def test_missing_beats_do_not_slow_the_tempo():
    beats_s = [number * 0.5 for number in range(40) if number not in {7, 8, 20}]
    assert tempo.steady_tempo_bpm(beats_s) == pytest.approx(120)


@pytest.mark.parametrize("num_beats", [0, 1, 3])
def test_a_few_beats_are_no_tempo(num_beats):
    assert tempo.steady_tempo_bpm([0.5 * number for number in range(num_beats)]) is None


def test_onsets_are_strong_if_they_repeat_with_the_beat():
    regular = np.zeros(2000, np.float32)
    regular[::31] = 1
    random = np.random.default_rng(1).random(2000).astype(np.float32) ** 8
    assert tempo.beat_strength(regular, 31) > 0.9
    assert tempo.beat_strength(random, 31) < 0.15
    assert tempo.beat_strength(np.ones(2000, np.float32), 31) == 0
    assert tempo.beat_strength(regular[:20], 31) == 0


FRAMES = np.arange(20, 1000, 40)
"""Of beats at 94 BPM."""
LOW, HIGH = [30, 30, 0, 0], [0, 0, 30, 30]
"""By how much four bands become louder."""


def levels(beats, between, num_missing=0):
    """Return the levels of four bands with an onset at each beat and between two of them."""
    rises = np.zeros((4, 1100))
    rises[:, FRAMES] = np.transpose([beats] * len(FRAMES))
    halfway = FRAMES[num_missing:] + 20
    rises[:, halfway] = np.transpose([between] * len(halfway))
    fading = [np.convolve(each, np.linspace(1, 0, 19))[:1100] for each in rises]
    return np.array(fading, np.float32)


def is_half(*onsets, bpm=94.0, frames=FRAMES):
    return tempo.is_half(bpm, levels(*onsets), frames)


def test_each_second_beat_was_missed_where_all_onsets_are_alike():
    assert is_half(LOW, LOW)
    assert is_half(LOW, [27, 27, 0, 0])


@pytest.mark.parametrize(
    "onsets",
    [
        (LOW, [0, 0, 0, 0]),
        (LOW, HIGH),
        ([30, 30, 30, 30], HIGH),
        (LOW, [15, 15, 0, 0]),
        (LOW, LOW, 4),
    ],
    ids=["nothing", "hats alone", "hats without the drum", "softer", "not everywhere"],
)
def test_no_beat_was_missed_where_what_is_between_them_is_not_like_them(onsets):
    assert not is_half(*onsets)


def test_a_tempo_is_not_doubled_beyond_what_music_has():
    assert is_half(LOW, LOW, bpm=124.9)
    assert not is_half(LOW, LOW, bpm=125.1)


@pytest.mark.parametrize("num_beats", [0, 1, 3])
def test_a_few_beats_are_not_doubled(num_beats):
    assert not is_half(LOW, LOW, frames=FRAMES[:num_beats])


def test_silence_and_beats_at_the_edges_are_no_error():
    silent = np.full((4, 200), -70, np.float32)
    assert not tempo.is_half(94.0, silent, np.array([0, 40, 80, 120, 160, 199]))
