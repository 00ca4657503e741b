"""MPEG audio of layers I and II, of MPEG-1 and of MPEG-2's lower sample rates."""

import numpy as np
import pytest
from clips import damage, layer_one
from fakes.tagged_files import encoded

from flamingo_common.audio.probe import probe

RATES_HZ = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000]
NUM_FRAMES = 100


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_layer_one_is_decoded_as_long_as_its_frames_are(rate_hz, layout):
    data = layer_one.encoded(NUM_FRAMES, rate_hz, layout)
    seconds = NUM_FRAMES * layer_one.SAMPLES / rate_hz
    result, samples = damage.decoded(data, allow_damaged=False)
    assert probe(data, total_bytes=len(data)).seconds == pytest.approx(seconds, abs=0.001)
    assert len(samples) == pytest.approx(seconds * 16_000, abs=1)
    assert 0.3 < np.abs(samples).max() < 0.4
    assert result.missing_s == 0


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_layer_two_is_decoded_as_long_as_its_frames_are(rate_hz, layout):
    data = encoded("mp2", "mp2", rate_hz, layout)
    result, samples = damage.decoded(data, allow_damaged=False)
    seconds = probe(data, total_bytes=len(data)).seconds
    assert len(samples) == pytest.approx(seconds * 16_000, abs=2)
    assert np.abs(samples).max() > 0.05
    assert result.missing_s == 0


@pytest.mark.parametrize("start", [0.4, 0.40013], ids=["at a frame", "in a frame"])
@pytest.mark.parametrize("seed", [None, 1], ids=["zeros", "noise"])
@pytest.mark.parametrize("layer", ["one", "two"])
def test_a_hole_is_silence_of_its_duration(layer, seed, start):
    layer_two = encoded("mp2", "mp2", 48_000, "stereo", 2.4)
    whole = layer_one.encoded(1000, 48_000, "stereo") if layer == "one" else layer_two
    _, samples = damage.decoded(whole)
    result, kept = damage.decoded(damage.hole(whole, start, 0.1, seed=seed), allow_damaged=True)
    assert len(kept) == pytest.approx(len(samples), abs=0.12 * 16_000)
    assert result.missing_s == pytest.approx(len(samples) / 16_000 / 10, abs=0.12)


def test_an_id3_tag_may_precede_layer_one():
    tag = b"ID3\x04\x00\x00\x00\x00\x08\x00" + bytes(1024)
    data = layer_one.encoded(NUM_FRAMES, 32_000, "mono")
    _, samples = damage.decoded(tag + data, allow_damaged=False)
    assert len(samples) == NUM_FRAMES * layer_one.SAMPLES // 2
