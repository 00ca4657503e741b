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
