"""Duration from the end of a file, compared with that of the decoded audio."""

import pytest
from fakes.audio_files import SECONDS
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.audio import tail_probe
from flamingo_common.audio.clip_info import MAX_S
from flamingo_common.audio.probe import HEAD_BYTES


def probed_at_end(data, *, end=None):
    head = data[:HEAD_BYTES]
    at = tail_probe.tail_offset(head, len(data))
    return tail_probe.probe_tail(
        head, data[at : at + tail_probe.END_BYTES] if end is None else end, len(data)
    )


@pytest.mark.parametrize("name", ["vorbis", "opus", "flac in ogg", "m4a"])
def test_a_duration_at_the_end_is_exact(files, name):
    clip = probed_at_end(files[name])

    assert clip.source == "exact"
    assert clip.seconds == pytest.approx(SECONDS, abs=0.06)


def test_the_end_of_another_link_of_a_chain_is_not_that_of_the_file(files):
    data = files["opus"] + files["vorbis"]
    assert probed_at_end(data) is None


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "m4a faststart", "webm"])
def test_the_end_is_not_needed_if_the_head_has_the_duration(files, name):
    assert tail_probe.tail_offset(files[name][:HEAD_BYTES], len(files[name])) is None


@given(end=st.binary(max_size=200), name=st.sampled_from(["opus", "m4a"]))
def test_random_ends_never_raise(files, end, name):
    for start in (b"", b"OggS", b"\0\0\1\0moov\0\0\0\x6cmvhd"):
        clip = probed_at_end(files[name], end=start + end)
        assert clip is None or 0 < clip.seconds <= MAX_S
