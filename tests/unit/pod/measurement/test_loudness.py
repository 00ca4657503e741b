"""Loudness of signals whose loudness is known: EBU Tech 3341 and 3342, and BS.1770's weights."""

import av
import numpy as np
import pytest
from clips import synthesise

from flamingo_pod.audio.blocks import Block
from flamingo_pod.audio.decode import DecodeLimits, decode_clip
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.measurement.loudness import LoudnessMeter


def tone(dbfs, seconds, rate_hz=48_000, hz=1000):
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def frames(channels, rate_hz, layout, form="flt"):
    """Return the blocks of `(channels, samples)` as the decoder makes them."""
    blocks = []
    for first in range(0, channels.shape[1], 1000):
        part = np.ascontiguousarray(channels[:, first : first + 1000].T)
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format=form, layout=layout)
        frame.sample_rate = rate_hz
        mono = np.zeros(len(part), np.float32)
        blocks.append(Block(rate_hz, mono, part.nbytes, frame=frame))
    return blocks


def measured(channels, rate_hz=48_000, layout="stereo", *, form="flt", part=(0.0, None)):
    meter = LoudnessMeter(*part)
    for block in frames(channels, rate_hz, layout, form):
        meter.add(block)
    return meter.result()


def stereo(*sections):
    return np.stack([np.concatenate(sections)] * 2)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000, 96_000, 192_000])
def test_a_tone_at_minus_23_dbfs_has_minus_23_lufs_at_any_rate(rate_hz):
    loudness, reasons = measured(stereo(tone(-23, 20, rate_hz)), rate_hz)
    assert loudness.integrated_lufs == pytest.approx(-23, abs=0.1)
    assert loudness.true_peak_dbtp == pytest.approx(-23, abs=0.3)
    assert reasons == {}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        # EBU Tech 3341, cases 1 to 5: level in dBFS and seconds.
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_quiet_sections_are_gated_as_tech_3341_says(sections, expected):
    loudness, _ = measured(stereo(*(tone(*section) for section in sections)))
    assert loudness.integrated_lufs == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("levels", "expected"), [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20)]
)
def test_the_range_is_that_of_tech_3342(levels, expected):
    loudness, _ = measured(stereo(*(tone(level, 20) for level in levels)))
    assert loudness.range_lu == pytest.approx(expected, abs=1)


def test_surround_channels_count_more_and_the_lfe_does_not():
    # EBU Tech 3341, case 6: -28 dBFS left and right, -24 centre, -30 surround: -23 LUFS.
    levels = (-28, -28, -24, -3, -30, -30)
    loudness, _ = measured(np.stack([tone(level, 20) for level in levels]), layout="5.1(side)")
    assert loudness.integrated_lufs == pytest.approx(-23, abs=0.1)
    assert loudness.true_peak_dbtp == pytest.approx(-3, abs=0.1)


def test_a_mono_file_is_one_channel():
    loudness, _ = measured(tone(-23, 5)[np.newaxis], layout="mono")
    assert loudness.integrated_lufs == pytest.approx(-26, abs=0.1)


@pytest.mark.parametrize("num_channels", [3, 8, 16])
def test_channels_without_names_count_equally(num_channels):
    channels = np.stack([tone(-30, 5)] * num_channels)
    loudness, _ = measured(channels, layout=f"{num_channels} channels")
    expected = -33 + 10 * np.log10(num_channels)
    assert loudness.integrated_lufs == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize(
    ("form", "dtype", "scale", "zero"),
    [("u8", np.uint8, 127, 128), ("s16", np.int16, 32767, 0), ("s32", np.int32, 2**31 - 1, 0)],
)
def test_integers_are_scaled_to_full_scale(form, dtype, scale, zero):
    channels = stereo(tone(-10, 5).astype(np.float64) * scale + zero).astype(dtype)
    loudness, _ = measured(channels, form=form)
    assert loudness.integrated_lufs == pytest.approx(-10, abs=0.15)


def test_a_peak_between_samples_is_found():
    # A quarter of the sample rate, 45 degrees off: no sample is at the peak.
    number = np.arange(48_000 * 5)
    fade = np.minimum(number / 4800, 1)
    samples = (0.5 * fade * np.sin(np.pi / 2 * number + np.pi / 4)).astype(np.float32)
    loudness, _ = measured(np.stack([samples, samples]))
    assert loudness.true_peak_dbtp == pytest.approx(-6, abs=0.4)
    assert 20 * np.log10(np.abs(samples).max()) == pytest.approx(-9, abs=0.1)


def test_a_part_has_its_own_loudness():
    channels = stereo(tone(-40, 10), tone(-23, 10), tone(-10, 10))
    loudness, _ = measured(channels, part=(10.0, 20.0))
    assert loudness.integrated_lufs == pytest.approx(-23, abs=0.1)
    loudness, reasons = measured(channels, part=(40.0, 50.0))
    assert loudness.integrated_lufs is None
    assert "shorter" in reasons["loudness_lufs"]


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.39])
def test_a_short_clip_has_a_peak_and_no_loudness(seconds):
    loudness, reasons = measured(stereo(tone(-10, seconds)))
    assert (loudness.integrated_lufs, loudness.range_lu) == (None, None)
    assert set(reasons) == {"loudness_lufs", "loudness_range_lu"}
    assert loudness.true_peak_dbtp == pytest.approx(-10, abs=0.5)


def test_silence_has_no_loudness_and_says_why():
    loudness, reasons = measured(np.zeros((2, 48_000 * 5), np.float32))
    assert loudness.true_peak_dbtp is None
    assert set(reasons) == {"loudness_lufs", "loudness_range_lu", "true_peak_dbtp"}
    assert all("silent" in reason for reason in reasons.values())


def test_a_clip_that_changes_its_channels_is_not_measured():
    meter = LoudnessMeter(0.0, None)
    for block in frames(stereo(tone(-23, 2)), 48_000, "stereo"):
        meter.add(block)
    for block in frames(tone(-23, 2)[np.newaxis], 48_000, "mono"):
        meter.add(block)
    loudness, reasons = meter.result()
    assert loudness.integrated_lufs is None
    assert "changes" in reasons["loudness_lufs"]


def test_what_a_damaged_packet_decodes_to_does_not_count():
    channels = stereo(tone(-23, 10))
    channels[:, 1000:1100] = np.nan
    channels[:, 2000:2100] = 1e30
    loudness, _ = measured(channels)
    assert loudness.integrated_lufs == pytest.approx(-23, abs=0.2)


@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS")])
def test_a_file_is_measured_at_its_own_rate_and_channels(kind):
    data = synthesise.encoded(stereo(tone(-23, 10, 44_100)).T, 44_100, *kind)
    meter = LoudnessMeter(0.0, None)
    with MemoryFile() as source, MemoryFile() as target:
        source.write(data)
        decode_clip(source.address, target.address, DecodeLimits(60), meter.add)
    loudness, _ = meter.result()
    assert loudness.integrated_lufs == pytest.approx(-23, abs=0.1)
