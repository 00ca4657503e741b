"""How the channels of a clip are mixed into one."""

import av
import numpy as np
import pytest

from flamingo_pod.audio import downmix

LAYOUTS = [
    "2.1", "3.0", "3.0(back)", "4.0", "quad", "5.0", "5.1", "5.1(side)", "6.1", "hexagonal", "7.1",
    "7.1(wide)", "octagonal",
]  # fmt: skip


def names_of(layout):
    return tuple(channel.name for channel in av.AudioLayout(layout).channels)


def mixed_by_ffmpeg(layout, number):
    """Return the level of one channel at full scale in FFmpeg's mono mix."""
    samples = np.zeros((64, len(names_of(layout))), np.int16)
    samples[:, number] = 2**15 - 1
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = 48_000
    [mono] = av.AudioResampler(format="s16", layout="mono", rate=48_000).resample(frame)
    return mono.to_ndarray()[0, 32] / (2**15 - 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_channels_are_to_each_other_as_in_ffmpegs_mix(layout):
    names = names_of(layout)
    left = mixed_by_ffmpeg(layout, names.index("FL"))
    for number in range(len(names)):
        samples = np.zeros((len(names), 8), np.int16)
        samples[number] = 2**14
        ours = downmix.to_mono(samples, names)[0] * 2
        # FFmpeg's integers round; half of full scale is the left channel's part of a stereo file.
        assert ours == pytest.approx(mixed_by_ffmpeg(layout, number) / left / 2, abs=2e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_silent_surrounds_cost_nothing(layout, dtype):
    names = names_of(layout)
    silent = 128 if dtype is np.uint8 else 0
    full = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    samples = np.full((len(names), 4), silent, dtype)
    samples[[names.index("FL"), names.index("FR")]] = full
    mixed = downmix.to_mono(samples, names)
    assert mixed.dtype == np.float32
    assert mixed == pytest.approx(1, abs=0.01)


def test_a_layout_without_a_front_pair_adds_up_to_full_scale():
    assert downmix.to_mono(np.ones((2, 4), np.float32), ("FC", "BC")) == pytest.approx(1)


def test_the_lfe_channel_is_left_out():
    samples = np.zeros((6, 4), np.float32)
    samples[3] = 1
    assert not downmix.to_mono(samples, names_of("5.1")).any()


@pytest.mark.parametrize("names", [(), ("NONE",) * 6, ("FL", "FR", "FC", "LFE", "TFL", "TFR")])
def test_channels_without_known_names_count_equally(names):
    samples = np.arange(6, dtype=np.float32)[:, None].repeat(4, axis=1)
    assert downmix.to_mono(samples, names) == pytest.approx(2.5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_mono_and_stereo_are_the_mean_to_the_bit(dtype):
    random = np.random.default_rng(1)
    samples = (random.standard_normal((2, 999)) * 40 + 100).astype(dtype)
    offset, scale = {np.uint8: (128, 2**7), np.int16: (0, 2**15), np.int32: (0, 2**31)}.get(
        dtype, (0, 1)
    )
    left = samples[0].astype(np.float32)
    mean = (left + samples[1] - np.float32(2 * offset)) * np.float32(1 / scale / 2)
    assert np.array_equal(downmix.to_mono(samples, ("FL", "FR")), mean)
    mono = (left - np.float32(offset)) * np.float32(1 / scale)
    assert np.array_equal(downmix.to_mono(samples[:1], ("FC",)), mono)
