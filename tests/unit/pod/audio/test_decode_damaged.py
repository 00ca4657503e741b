"""What is decoded from damaged and cut files of every kind."""

import numpy as np
import pytest
from clips import damage, hostile
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo_common.errors import AudioDamaged, InvalidAudio

TIMED = [
    "flac", "opus", "opus-of-libsndfile", "vorbis", "ogg-flac", "m4a", "alac", "webm", "mka",
]  # fmt: skip
UNTIMED = ["mp3-cbr", "mp3-vbr", "adts"]
ALL = [*TIMED, *UNTIMED, "m4a-moov-first", "fragmented-mp4", "live-webm", "caf", "w64", "au",
       "wavpack", "wma", "tta", "wav", "rf64", "aiff"]  # fmt: skip
CLUSTER = b"\x1f\x43\xb6\x75"
PADDING_S = 0.05
"""AAC begins with a frame of silence, and ends with the rest of one."""


@pytest.mark.parametrize("seconds", [0.1, 0.5, damage.SECONDS, 25])
@pytest.mark.parametrize("kind", ALL)
def test_nothing_is_missing_in_a_file_without_damage(kind, seconds):
    result, samples = damage.decoded(damage.made(kind, seconds), allow_damaged=False)
    assert result.missing_s == 0
    assert len(samples) / 16_000 == pytest.approx(seconds, abs=PADDING_S)


@pytest.mark.parametrize("after", [bytes(5000), b"a list of tracks\n" * 300], ids=["zeros", "text"])
@pytest.mark.parametrize("kind", ["opus", "opus-of-libsndfile", "vorbis", "ogg-flac"])
def test_what_follows_the_last_page_of_an_ogg_is_no_missing_audio(kind, after):
    result, samples = damage.decoded(damage.made(kind, 25) + after, allow_damaged=False)
    assert result.missing_s == 0
    assert len(samples) / 16_000 == pytest.approx(25, abs=PADDING_S)


@pytest.mark.parametrize("start_s", [0.3, 5.0, 3600.0])
@pytest.mark.parametrize("kind", ["webm", "opus", "fragmented-mp4"])
def test_a_clip_that_starts_late_lacks_nothing(kind, start_s):
    result, samples = damage.decoded(damage.starting_late(kind, start_s), allow_damaged=False)
    assert result.missing_s == 0
    assert len(samples) / 16_000 == pytest.approx(damage.SECONDS, abs=0.1)


@pytest.mark.parametrize("seconds", [0.5, 3, 60])
@pytest.mark.parametrize("kind", ["wma", "adts", "fragmented-mp4", "live-webm", "mp3-cbr"])
def test_a_file_whose_header_was_not_completed_lacks_nothing(kind, seconds):
    result, samples = damage.decoded(damage.streamed(kind, seconds), allow_damaged=False)
    assert result.missing_s == 0
    assert len(samples) / 16_000 == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("kind", ["opus", "vorbis"])
def test_pages_that_are_lost_before_the_last_one_are_silence(kind):
    whole = damage.made(kind)
    last = whole.rfind(b"OggS")
    start = whole.rfind(b"OggS", 0, whole.rfind(b"OggS", 0, last))
    damaged = whole[:start] + bytes(last - start) + whole[last:]
    result, samples = damage.decoded(damaged, allow_damaged=True)
    assert len(samples) / 16_000 == pytest.approx(damage.SECONDS, abs=PADDING_S)
    assert 0.1 < result.missing_s < 2.5


@pytest.mark.parametrize("seed", [None, 1], ids=["zeros", "noise"])
@pytest.mark.parametrize("kind", [*TIMED, *UNTIMED])
def test_after_a_hole_everything_is_where_it_was(kind, seed):
    whole = damage.made(kind)
    result, samples = damage.decoded(damage.hole(whole, 0.42, 0.08, seed=seed), allow_damaged=True)
    assert len(samples) / 16_000 == pytest.approx(damage.SECONDS, abs=PADDING_S)
    assert result.missing_s > 0.7
    for second in (1, 2, 3, 6, 7, 8, 9):
        if second < 4 or kind not in {"webm", "mka"}:  # silent up to the next cluster
            assert damage.has_click_at(samples, second)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([*TIMED, *UNTIMED]),
    start=st.floats(0.1, 0.8),
    share=st.sampled_from([0.001, 0.01, 0.05, 0.1]),
    seed=st.one_of(st.none(), st.integers(0, 9)),
)
def test_any_hole_keeps_the_time_and_is_counted(kind, start, share, seed):
    data = damage.hole(damage.made(kind), start, share, seed=seed)
    result, samples = damage.decoded(data, allow_damaged=True)
    kept_s = len(samples) / 16_000
    if kept_s < damage.SECONDS - 0.2:
        # The file's last pages or packets were hit: nothing after them is displaced.
        assert kept_s + result.missing_s == pytest.approx(damage.SECONDS, abs=0.5)
    else:
        assert kept_s == pytest.approx(damage.SECONDS, abs=0.12)
    assert result.missing_s <= damage.SECONDS


def test_many_small_holes_are_filled_one_by_one():
    data = damage.made("flac")
    for start in (0.15, 0.35, 0.55, 0.75, 0.95):
        data = damage.hole(data, start, 0.0005)
    result, samples = damage.decoded(data, allow_damaged=True)
    assert len(samples) == damage.SECONDS * 16_000
    assert 0.4 < result.missing_s < 0.7
    assert damage.has_click_at(samples, 9)


def test_the_silence_is_where_the_audio_was():
    _, samples = damage.decoded(damage.hole(damage.made("flac"), 0.42, 0.08), allow_damaged=True)
    is_silent = np.abs(samples) < 1e-6
    assert is_silent[int(4.2 * 16_000) : 5 * 16_000].mean() > 0.99
    assert is_silent[16_000 : 4 * 16_000].mean() < 0.01
    assert is_silent[int(5.1 * 16_000) :].mean() < 0.01


def test_a_hole_in_the_first_frames_is_silence_at_the_start():
    data = damage.made("flac")
    result, samples = damage.decoded(data[:8500] + bytes(40_000) + data[48_500:])
    assert len(samples) == damage.SECONDS * 16_000
    assert result.missing_s > 0.2
    assert damage.has_click_at(samples, 1)
    assert not np.abs(samples[: 16_000 // 5]).max()


@pytest.mark.parametrize("kind", ["webm", "mka"])
def test_a_lost_first_cluster_is_silence_at_the_start(kind):
    data = damage.made(kind)
    start = data.find(CLUSTER)
    result, samples = damage.decoded(
        data[:start] + bytes(40) + data[start + 40 :], allow_damaged=True
    )
    assert len(samples) / 16_000 == pytest.approx(damage.SECONDS, abs=PADDING_S)
    assert result.missing_s == pytest.approx(5, abs=0.1)
    assert damage.has_click_at(samples, 9)


@pytest.mark.parametrize("kind", ["webm", "mka"])
def test_a_matroska_clip_that_starts_late_is_not_extended_to_0(kind):
    data = damage.made(kind)
    first = data.find(CLUSTER)
    second = data.find(CLUSTER, first + 4)
    _, samples = damage.decoded(data[:first] + data[second:], allow_damaged=True)
    assert len(samples) / 16_000 == pytest.approx(damage.SECONDS / 2, abs=0.1)


def test_a_flac_without_a_valid_frame_is_damaged_rather_than_short():
    data = damage.made("flac")
    with pytest.raises(InvalidAudio, match="the FLAC audio is damaged or incomplete"):
        damage.decoded(data[:9000] + bytes(len(data) - 9000), allow_damaged=True)


def test_samples_without_compression_show_no_damage():
    result, samples = damage.decoded(damage.hole(damage.made("wav"), 0.4, 0.1))
    assert (result.missing_s, len(samples)) == (0, damage.SECONDS * 16_000)


STATING = ["wav", "rf64", "aiff", "caf", "w64", "au", "flac", "mp3-cbr", "mp3-vbr",
           "m4a-moov-first", "webm", "mka", "wavpack", "wma"]  # fmt: skip


@pytest.mark.parametrize("kind", STATING)
def test_half_a_file_is_not_extended_and_the_rest_is_missing(kind):
    whole = damage.made(kind)
    result, samples = damage.decoded(whole[: len(whole) // 2])
    kept_s = len(samples) / 16_000
    assert 3 < kept_s < 7
    assert kept_s + result.missing_s == pytest.approx(damage.SECONDS, abs=PADDING_S)


@pytest.mark.parametrize("kind", STATING)
def test_half_a_file_is_refused_if_no_damage_is_allowed(kind):
    whole = damage.made(kind)
    with pytest.raises(AudioDamaged, match=r"s at the end\), and allow_damaged is false"):
        damage.decoded(whole[: len(whole) // 2], allow_damaged=False)


@pytest.mark.parametrize("kind", ["live-webm", "adts", "vorbis"])
def test_half_of_a_stream_without_a_length_says_nothing(kind):
    whole = damage.made(kind)
    cut = whole[: len(whole) // 2]
    page = cut.rfind(b"OggS")
    result, _ = damage.decoded(cut[:page] if kind == "vorbis" else cut)
    assert result.missing_s == 0


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2**31 - 1, 2**31 - 4096, 2**32 - 45])
def test_a_size_that_means_unknown_says_nothing(size):
    data = hostile.wav(22_050, 1, hostile.pcm(2), claimed=size)
    assert damage.decoded(data, allow_damaged=False)[0].missing_s == 0


@pytest.mark.parametrize("num_frames", [38, 2000, 10**8])
def test_a_false_frame_count_of_a_whole_mp3_says_nothing(num_frames):
    data = hostile.xing_claiming(hostile.made("mp3", 20), num_frames)
    assert damage.decoded(data, allow_damaged=False)[0].missing_s == 0


@pytest.mark.parametrize(
    "name",
    [name for name, file in hostile.files().items() if isinstance(file.outcome, float | int)],
)
def test_files_with_false_headers_or_tags_are_not_filled_with_silence(name):
    file = hostile.files()[name]
    result, samples = damage.decoded(file.data, max_seconds=60)
    assert len(samples) / 16_000 == pytest.approx(file.outcome, abs=0.15)
    if not name.startswith(("wav: claims more",)):
        assert result.missing_s == 0


def test_a_truncated_clip_reports_only_what_is_missing_before_the_cut():
    data = damage.hole(damage.made("flac"), 0.42, 0.08)
    before, _ = damage.decoded(data, max_seconds=4, truncate=True)
    within, samples = damage.decoded(data, max_seconds=4.5, truncate=True, allow_damaged=True)
    cut, _ = damage.decoded(data[: len(data) * 3 // 4], max_seconds=3, truncate=True)
    assert (before.missing_s, cut.missing_s) == (0, 0)
    assert 0.1 < within.missing_s < 0.5
    assert len(samples) == 4.5 * 16_000


@pytest.mark.parametrize("kind", ["mp3-cbr", "mp3-vbr", "flac", "m4a-moov-first", "opus"])
def test_what_was_never_written_is_missing_at_the_end(kind):
    whole = damage.made(kind)
    result, samples = damage.decoded(damage.hole(whole, 0.5, 0.5))
    kept_s = len(samples) / 16_000
    assert 3 < kept_s < 6
    assert kept_s + result.missing_s == pytest.approx(damage.SECONDS, abs=0.1)


@pytest.mark.parametrize(("kind", "share"), [("wavpack", 0.1), ("fragments", 0.2)])
def test_audio_that_cannot_be_read_although_the_file_goes_on_is_not_at_its_end(kind, share):
    data = damage.hole(damage.made(kind), 0.3, share, seed=7)
    with pytest.raises(AudioDamaged, match="s after the last frame that could be read"):
        damage.decoded(data)
    result, samples = damage.decoded(data, allow_damaged=True)
    assert len(samples) / 16_000 + result.missing_s == pytest.approx(damage.SECONDS, abs=0.8)


@pytest.mark.parametrize("seed", [None, 1], ids=["zeros", "noise"])
def test_frames_with_a_wrong_checksum_are_silence(seed):
    data = damage.hole(damage.made("tta"), 0.42, 0.1, seed=seed)
    result, samples = damage.decoded(data, allow_damaged=True)
    assert len(samples) / 16_000 == pytest.approx(damage.SECONDS, abs=PADDING_S)
    assert 1 < result.missing_s < 3.5
    assert damage.has_click_at(samples, 9)


def test_more_than_a_twentieth_is_refused_with_the_numbers():
    with pytest.raises(AudioDamaged) as refused:
        damage.decoded(damage.hole(damage.made("flac"), 0.42, 0.08))
    message = str(refused.value)
    assert message.startswith("the audio is damaged: 0.84 s of 10.00 s are missing")
    assert "the first gap is at 4.2 s" in message
    assert "at most 5% may be missing inside a clip" in message
    assert "set allow_damaged to true" in message


def test_a_little_damage_is_processed_unless_the_request_forbids_it():
    data = damage.hole(damage.made("flac"), 0.42, 0.02)
    assert 0 < damage.decoded(data)[0].missing_s < 0.5
    with pytest.raises(AudioDamaged, match="allow_damaged is false"):
        damage.decoded(data, allow_damaged=False)


@pytest.mark.parametrize("allow_damaged", [None, True, False])
def test_a_file_of_which_nothing_decodes_is_invalid(allow_damaged):
    data = damage.made("m4a-moov-first")
    start = data.find(b"mdat") + 4
    wild = np.random.default_rng(3).bytes(len(data) - start)
    with pytest.raises(InvalidAudio):
        damage.decoded(data[:start] + bytes(len(wild)), allow_damaged=allow_damaged)
