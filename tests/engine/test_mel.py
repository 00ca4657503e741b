"""Our log-mel against WhisperFeatureExtractor's, value for value."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from flamingo_common.audio import windows
from flamingo_pod.model import spectrum
from flamingo_pod.model.mel import (
    MAX_FRAMES,
    LogMel,
    batches,
    create_log_mel,
    num_conv_frames,
)

WINDOW = windows.WINDOW_SAMPLES
# Around the shortest, around hops, around where the frames reach 3,000, and the longest.
LENGTHS = [321, 322, 359, 480, 481, 16_000, 16_039, 16_040, 16_041, 479_520, 479_521]
LENGTHS += [479_680, 479_681, 479_799, 479_800, 479_801, 479_840, 479_841, 479_999, 480_000]


@pytest.fixture(scope="session")
def extractor(processor):
    return processor.feature_extractor


@pytest.fixture(scope="session")
def log_mel(extractor):
    return LogMel(extractor, "cpu")


def noise(num_samples, seed=0):
    return np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32) * 0.1


def by_transformers(extractor, samples):
    """Return `(128, 3000)` and how many of its frames the mask calls sound."""
    features = extractor(
        [samples], sampling_rate=16_000, return_attention_mask=True, return_tensors="pt"
    )
    return features["input_features"][0], int(features["attention_mask"].sum())


def assert_equals_transformers(extractor, samples, mel):
    padded, num_sounding = by_transformers(extractor, samples)
    positions = (num_sounding - 1) // 2 + 1
    assert mel.shape == (128, min(2 * positions + 1, 3000))
    assert mel.dtype == torch.float32
    assert (mel - padded[:, : mel.shape[1]]).abs().max() < 1e-5


@pytest.mark.parametrize("num_samples", LENGTHS)
def test_a_window_of_any_length_has_the_log_mel_of_transformers(extractor, log_mel, num_samples):
    samples = noise(num_samples)
    assert_equals_transformers(extractor, samples, *log_mel([samples]))


@settings(max_examples=examples(40), deadline=None)
@given(num_samples=st.integers(321, WINDOW), seed=st.integers(0, 2**32 - 1))
def test_so_has_a_window_of_random_length(extractor, log_mel, num_samples, seed):
    samples = noise(num_samples, seed)
    assert_equals_transformers(extractor, samples, *log_mel([samples]))


def silence(num_samples):
    return np.zeros(num_samples, np.float32)


def full_scale(num_samples):
    return np.sign(np.sin(np.arange(num_samples) * 0.17)).astype(np.float32)


def click(at):
    """Return a maker of silence with one loud sample, the `at`-th from the end."""

    def made(num_samples):
        samples = np.zeros(num_samples, np.float32)
        samples[-at] = 1.0
        return samples

    return made


def loud_then_quiet(num_samples):
    """100 dB apart: the quiet part is raised to what is 80 dB below the loud one."""
    samples = noise(num_samples)
    samples[num_samples // 2 :] *= 1e-5
    return samples


def quiet(num_samples):
    return noise(num_samples) * np.float32(1e-7)


SOUNDS = [silence, full_scale, click(1), click(30), click(41), click(159), loud_then_quiet, quiet]


@pytest.mark.parametrize("num_samples", [321, 16_000, 16_001, 16_159, 47_999, 479_999, 480_000])
@pytest.mark.parametrize("sound", SOUNDS)
def test_so_has_every_kind_of_audio(extractor, log_mel, sound, num_samples):
    samples = sound(num_samples)
    assert_equals_transformers(extractor, samples, *log_mel([samples]))


def test_a_batch_equals_single_windows_in_order(log_mel):
    lengths = [16_000, 480_000, 15_990, 321, 16_000, 47_000, 480_000, 16_100]
    samples = [noise(length, seed) for seed, length in enumerate(lengths)]
    samples[0] *= np.float32(1e-3)  # its loudest is its own, not its neighbour's

    for window, mel in zip(samples, log_mel(samples), strict=True):
        [alone] = log_mel([window])
        assert mel.shape == alone.shape
        assert (mel - alone).abs().max() < 1e-6


def test_rounded_numbers_of_frames_and_windows_change_no_value(extractor, log_mel):
    shapes = set()

    def recorded(samples, window, hop):
        power = spectrum.by_torch(samples, window, hop)
        shapes.add(power.shape[::2])
        return power

    rounded = LogMel(extractor, "cpu", recorded, frame_multiple=300)
    rounded._max_batch_frames = 16 * MAX_FRAMES
    samples = [noise(num_samples, seed) for seed, num_samples in enumerate(LENGTHS)]
    for count in (1, 3, len(samples)):
        given = samples[-count:]
        for found, expected in zip(rounded(given), log_mel(given), strict=True):
            assert found.shape == expected.shape
            assert (found - expected).abs().max() < 1e-5
    for num_windows, num_frames in shapes:
        assert num_windows in {1, 2, 4, 8, 16}
        assert num_frames % 300 == 0


def test_no_windows_have_no_log_mels(log_mel):
    assert log_mel([]) == []


@pytest.mark.parametrize("num_samples", [0, 320, 480_001])
def test_a_window_of_invalid_length_is_rejected(log_mel, num_samples):
    with pytest.raises(ValueError, match=f"not {num_samples}"):
        log_mel([noise(num_samples)])


@pytest.mark.parametrize("oddity", ["dither", "padding_value"])
def test_an_extractor_that_dithers_or_pads_is_rejected(extractor, oddity):
    odd = type(extractor)(**{"feature_size": 128, oddity: 0.1})
    with pytest.raises(ValueError, match="not supported"):
        LogMel(odd, "cpu")


def test_a_window_of_3_s_costs_a_tenth_of_a_full_one(log_mel):
    def cost_flop(seconds):
        with FlopCounterMode(display=False) as counter:
            log_mel([noise(seconds * 16_000)])
        return counter.get_total_flops()

    assert 0 < cost_flop(3) < 0.11 * cost_flop(30)


@given(st.lists(st.integers(1, 4)), st.integers(0, 5))
def test_batches_have_each_index_once_and_equal_lengths(lengths, max_batch):
    found = list(batches(lengths, lambda _: max_batch))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    for batch in found:
        assert len({lengths[place] for place in batch}) == 1
        assert len(batch) <= max(1, max_batch)


@given(st.integers(321, WINDOW))
def test_the_frames_kept_are_those_of_the_tokens(num_samples):
    num_frames = num_conv_frames(num_samples)
    assert num_frames <= MAX_FRAMES
    assert num_frames // 2 // 2 == windows.num_tokens_of_window(num_samples)


def torchaudio_of(spectrogram):
    """Return a module like torchaudio, of which the log-mel needs one function."""
    return SimpleNamespace(functional=SimpleNamespace(spectrogram=spectrogram))


def documented_spectrogram(
    waveform, *, pad, window, n_fft, hop_length, win_length, power, normalized, center
):
    """Return what torchaudio's documentation says, frame by frame: no frame is padded."""
    assert (pad, normalized, center, win_length) == (0, False, False, n_fft)
    frames = waveform.unfold(-1, n_fft, hop_length) * window
    return torch.fft.rfft(frames).abs().pow(power).transpose(-1, -2)


def test_torchaudios_spectrum_is_used_where_it_agrees(extractor, log_mel):
    calls = []

    def counted(*args, **kwargs):
        calls.append(kwargs["power"])
        return documented_spectrogram(*args, **kwargs)

    made = create_log_mel(extractor, torch.device("cpu"), torchaudio_of(counted))
    calls.clear()
    samples = [noise(16_000), noise(480_000, 1), noise(321, 2)]
    for ours, theirs in zip(log_mel(samples), made(samples), strict=True):
        assert (ours - theirs).abs().max() < 1e-4
    assert calls == [2.0] * 3


@pytest.mark.parametrize(
    "spectrogram",
    [
        pytest.param(
            lambda *args, **kwargs: documented_spectrogram(*args, **kwargs).sqrt(), id="amplitude"
        ),
        pytest.param(
            lambda *args, **kwargs: documented_spectrogram(*args, **kwargs) * torch.nan, id="NaN"
        ),
        pytest.param(lambda *args, **kwargs: 1 / 0, id="an error"),
        pytest.param(lambda waveform: waveform, id="another signature"),
        pytest.param(
            lambda *args, **kwargs: documented_spectrogram(*args, **kwargs)[..., :-1], id="a shape"
        ),
    ],
)
def test_a_torchaudio_that_differs_is_not_used(extractor, log_mel, spectrogram):
    made = create_log_mel(extractor, torch.device("cpu"), torchaudio_of(spectrogram))
    samples = [noise(16_000)]
    assert torch.equal(made(samples)[0], log_mel(samples)[0])


def test_without_torchaudio_there_is_torch(extractor, log_mel):
    made = create_log_mel(extractor, torch.device("cpu"), None)
    samples = [noise(16_000)]
    assert torch.equal(made(samples)[0], log_mel(samples)[0])
