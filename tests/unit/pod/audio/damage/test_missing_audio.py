"""Which clips with missing audio are refused, and what is said about them."""

import pytest

from flamingo_pod.audio.damage.missing_audio import MissingAudio


def missing(*gaps, at_end_s=0.0, end_s=1200.0):
    found = MissingAudio(end_s)
    for at_s, seconds in gaps:
        found.add_gap(at_s, seconds)
    found.at_end_s = at_end_s
    return found


@pytest.mark.parametrize(
    ("gaps", "clip_s"),
    [([(1, 0.5)], 10), ([(1, 1.0)], 20), ([(1, 1.5)], 30), ([(1, 0.4), (7, 0.1)], 10), ([], 10)],
)
def test_a_little_is_processed(gaps, clip_s):
    assert missing(*gaps).refusal(clip_s, allow_damaged=None) is None


@pytest.mark.parametrize(
    ("gaps", "clip_s"),
    [([(1, 0.51)], 10), ([(1, 0.4), (7, 0.2)], 10), ([(1, 31)], 600), ([(1, 1.001)], 19.9)],
)
def test_more_than_a_twentieth_inside_the_clip_is_refused(gaps, clip_s):
    assert missing(*gaps).refusal(clip_s, allow_damaged=None) is not None


def test_the_refusal_has_the_numbers():
    assert missing((4.18, 0.8349)).refusal(10.0, allow_damaged=None) == (
        "the audio is damaged: 0.83 s of 10.00 s are missing (the first gap is at 4.2 s);"
        " at most 5% may be missing inside a clip;"
        " set allow_damaged to true to process it anyway"
    )


def test_what_is_missing_at_the_end_alone_is_processed():
    half = missing(at_end_s=12)
    assert half.total_s == 12
    assert half.refusal(12.0, allow_damaged=None) is None
    assert half.refusal(12.0, allow_damaged=False) == (
        "the audio is damaged: 12.00 s of 24.00 s are missing (12.00 s at the end),"
        " and allow_damaged is false"
    )


def test_any_share_is_processed_on_request_and_any_loss_refused_on_request():
    most = missing((1, 8))
    assert most.refusal(10.0, allow_damaged=True) is None
    assert missing((1, 0.02)).refusal(100.0, allow_damaged=False) is not None
    assert missing().refusal(100.0, allow_damaged=False) is None


def test_a_gap_counts_as_far_as_it_is_processed():
    found = missing((5, 2), (9, 5), (12, 1), end_s=10)
    assert (found.inside_s, found.first_at_s) == (3, 5)


def test_audio_that_cannot_be_read_counts_as_audio_inside():
    stopped = missing()
    stopped.unread_s = 3.0
    assert stopped.total_s == 3
    refusal = stopped.refusal(7.0, allow_damaged=None)
    assert refusal.startswith("the audio is damaged: 3.00 s of 10.00 s are missing")
    assert "(3.00 s after the last frame that could be read)" in refusal
    assert stopped.refusal(97.0, allow_damaged=None) is None
    assert stopped.refusal(7.0, allow_damaged=True) is None
