"""Which FLAC frames are found in damaged data, and where they belong."""

import io

import numpy as np
import pytest
import soundfile
from clips import damage

from flamingo_pod.audio.damage import flac_frames

BLOCK = 4096


def frames_of(data):
    """Return the data of a FLAC from its first frame on: after its blocks of metadata."""
    at, is_last = 4, False
    while not is_last:
        is_last = bool(data[at] & 0x80)
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    return data[at:]


@pytest.fixture(scope="module")
def audio():
    return frames_of(damage.made("flac"))


def positions(data):
    return [found.first_sample(BLOCK) for found in flac_frames.split(data)]


def test_all_frames_of_a_whole_file_are_found(audio):
    found = flac_frames.split(audio)
    assert positions(audio) == list(range(0, damage.SECONDS * 44_100, BLOCK))
    assert b"".join(frame.data for frame in found) == audio


def test_what_precedes_the_first_header_is_left_out(audio):
    second = len(flac_frames.split(audio)[0].data)
    found = flac_frames.split(audio[100:])
    assert found[0].data == flac_frames.split(audio[second:])[0].data
    assert found[0].first_sample(BLOCK) == BLOCK


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_frames_after_a_hole_have_their_own_positions(audio, seed):
    damaged = damage.hole(audio, 0.4, 0.1, seed=seed)
    kept = positions(damaged)
    assert set(kept) < set(positions(audio))
    assert kept == sorted(kept)
    assert kept[-1] == positions(audio)[-1]


def test_a_header_with_a_wrong_checksum_is_none(audio):
    start = len(flac_frames.split(audio)[0].data)
    damaged = bytearray(audio)
    damaged[start + 4] ^= 1
    assert positions(bytes(damaged)) == [at for at in positions(audio) if at != BLOCK]


def test_noise_has_hardly_any_frames():
    assert len(flac_frames.split(np.random.default_rng(1).bytes(2**20))) < 3


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xf8", bytes(5000), b"\xff" * 5000])
def test_data_without_a_header_has_no_frames(data):
    assert flac_frames.split(data) == []


def test_a_number_of_several_bytes_is_read():
    file = io.BytesIO()
    soundfile.write(file, np.zeros(BLOCK * 3000, np.int16), 44_100, format="FLAC")
    assert positions(frames_of(file.getvalue()))[-1] == BLOCK * 2999


def test_the_number_of_a_sample_needs_no_block_size():
    found = flac_frames.FoundFrame(b"", True, 1234)
    assert found.first_sample(BLOCK) == 1234
