"""The channels of decoded frames, of any number."""

import av
import numpy as np
import pytest

from flamingo_pod.audio import planes


def planar_frame(layout, num_channels, num_samples=500):
    """Return a frame whose channels have the values 100, 200, 300 …"""
    values = np.tile(np.arange(1, num_channels + 1, dtype=np.int16) * 100, num_samples)
    packed = av.AudioFrame.from_ndarray(values[None], "s16", layout)
    packed.sample_rate = 48_000
    (frame,) = av.AudioResampler("s16p", layout, 48_000).resample(packed)
    assert frame.format.is_planar
    return frame


@pytest.mark.parametrize(
    ("layout", "num_channels"),
    {
        "mono": 1,
        "stereo": 2,
        "5.1": 6,
        "6.1": 7,
        "7.1": 8,
        "9 channels": 9,
        "hexadecagonal": 16,
    }.items(),
)
def test_each_channel_of_a_planar_frame_is_a_row(layout, num_channels):
    for num_samples in (500, 300):
        values = np.array(planes.of(planar_frame(layout, num_channels, num_samples)))
        assert values.shape == (num_channels, num_samples)
        assert (values == 100 * np.arange(1, num_channels + 1)[:, None]).all()


def test_frames_of_different_shapes_may_alternate():
    for _ in range(2):
        assert np.shape(planes.of(planar_frame("7.1", 8))) == (8, 500)
        assert np.shape(planes.of(planar_frame("hexadecagonal", 16))) == (16, 500)


def test_each_channel_of_a_packed_frame_is_a_row():
    values = np.array([[1, 2, 3, 4, 5, 6]], np.int16)
    frame = av.AudioFrame.from_ndarray(values, "s16", "stereo")
    assert np.array(planes.of(frame)).tolist() == [[1, 3, 5], [2, 4, 6]]
