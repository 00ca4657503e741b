"""A part of a clip: the samples that the whole clip has there, and nothing else of it."""

import numpy as np
import pytest
from clips import damage

from flamingo_common.errors import AudioDamaged, AudioTooLong

KINDS = ["flac", "opus", "vorbis", "m4a", "mp3-vbr", "webm", "wav", "wma"]
SECONDS = 25


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_has_exactly_the_samples_of_the_whole_clip(kind):
    data = damage.made(kind, SECONDS)
    _, whole = damage.decoded(data)
    for start_s, end_s in ((0.0, 3.0), (3.0, 7.52), (20.0, None), (0.0, None), (10.01, 10.02)):
        result, part = damage.decoded(data, start_s=start_s, end_s=end_s)
        start = int(start_s / 0.04 + 1e-6) * 640
        stop = None if end_s is None else -int(-end_s / 0.04 + 1e-6 - 1 + 1e-9) * 640
        expected = whole[start:stop] if end_s != 10.02 else whole[start : start + 640]
        assert np.array_equal(part, expected), (start_s, end_s)
        assert result.clip_s == (len(whole) / 16_000 if end_s is None else None)


def test_a_part_ends_with_the_clip_and_one_behind_it_has_no_samples():
    data = damage.made("flac", SECONDS)
    assert len(damage.decoded(data, start_s=20.0, end_s=99.0)[1]) == 5 * 16_000
    result, part = damage.decoded(data, start_s=25.0, end_s=99.0)
    assert (len(part), result.clip_s) == (0, 25.0)


def test_the_limit_is_that_of_the_part():
    data = damage.made("flac", SECONDS)
    assert len(damage.decoded(data, max_seconds=5, start_s=18.0, end_s=23.0)[1]) == 5 * 16_000
    with pytest.raises(AudioTooLong, match="the part from 18 s on is longer than the maximum of 5"):
        damage.decoded(data, max_seconds=5, start_s=18.0)
    result, part = damage.decoded(data, max_seconds=5, start_s=18.0, truncate=True)
    assert (result.is_truncated, len(part)) == (True, 5 * 16_000)


def test_only_what_is_missing_in_the_part_counts():
    data = damage.made("flac", SECONDS)
    middle = len(data) // 2
    damaged = data[:middle] + bytes(len(data) // 10) + data[middle + len(data) // 10 :]
    whole, _ = damage.decoded(damaged, allow_damaged=True)
    assert whole.missing_s > 1
    for start_s, end_s in ((0.0, 5.0), (20.0, None)):
        assert damage.decoded(damaged, start_s=start_s, end_s=end_s)[0].missing_s == 0
    with pytest.raises(AudioDamaged):
        damage.decoded(damaged, start_s=10.0, end_s=16.0)


def test_of_a_file_that_ends_early_a_part_lacks_what_it_asked_for():
    data = damage.made("wav", SECONDS)
    cut = data[: len(data) // 5]
    whole, _ = damage.decoded(cut)
    assert whole.missing_s == pytest.approx(20, abs=0.1)
    result, part = damage.decoded(cut, start_s=3.0, end_s=8.0)
    assert len(part) / 16_000 == pytest.approx(2, abs=0.1)
    assert result.missing_s == pytest.approx(3, abs=0.1)
    assert damage.decoded(cut, start_s=3.0)[0].missing_s == whole.missing_s
    assert damage.decoded(cut, start_s=1.0, end_s=3.0, allow_damaged=False)[0].missing_s == 0
    with pytest.raises(AudioDamaged, match=r"3\.\d\d s of 5\.\d\d s are missing"):
        damage.decoded(cut, start_s=3.0, end_s=8.0, allow_damaged=False)
