"""Log-mel spectrograms of windows, only of the frames that the encoder reads.

transformers' WhisperFeatureExtractor pads every window to 30 s and transforms all 3,000 frames.
Here a window of 3 s costs a tenth of that and gives the same values.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from flamingo_common.audio import windows
from flamingo_common.service import logs
from flamingo_pod.model import spectrum
from flamingo_pod.model.spectrum import PowerSpectrum

Samples = NDArray[np.float32]

MAX_FRAMES = windows.WINDOW_SAMPLES // windows.HOP_SAMPLES
MAX_BATCH_FRAMES = {"cuda": 16 * MAX_FRAMES, "cpu": MAX_FRAMES}
"""Frames transformed at once: 16 full windows on a GPU, whose spectrum takes 77 MB.

A CPU does one: more do not fit its cache (8 at once: 14.6 ms each; one: 6.5 ms).
"""
FRAME_MULTIPLE = {"cuda": 300, "cpu": 1}
"""Frames are rounded up to, by silence. On a GPU torch keeps a plan of cuFFT, with up to 2 MiB of
memory that its allocator does not see, for each number of frames (pytorch#94893): so there are ten
of them, for each power of two of windows, and not thousands."""
FLOOR = 1e-10
"""Power of silence, as in Whisper."""
RANGE_DECADES = 8.0
"""Dynamic range below the loudest value of the window; lower values are raised to it."""
MAX_DIFFERENCE = 1e-4
"""Of torchaudio's log-mel from torch's."""


def num_conv_frames(num_samples: int) -> int:
    """Return the number of mel frames that the encoder's states of a window depend on.

    The convolution of stride 2 gives `Lc = (frames - 1) // 2 + 1` positions
    (`_get_feat_extract_output_lengths` of transformers' AudioFlamingo3Encoder). The last of
    them reads outputs up to 2Lc-1 of the convolution before, and those read frames up to 2Lc:
    `2 * Lc + 1` frames, the last of them padding. A window has at most 3,000; there the
    convolutions' own padding applies.
    """
    num_frames = -(-num_samples // windows.HOP_SAMPLES)
    num_positions = (num_frames - 1) // 2 + 1
    return min(2 * num_positions + 1, MAX_FRAMES)


def batches(lengths: Sequence[int], max_batch: Callable[[int], int]) -> Iterator[list[int]]:
    """Yield the indices of equal `lengths`, each index once, at most `max_batch(length)` each."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, length in enumerate(lengths):
        places[length].append(place)
    for length, equal in places.items():
        step = max(1, max_batch(length))
        for start in range(0, len(equal), step):
            yield equal[start : start + step]


class LogMel:
    """WhisperFeatureExtractor's log-mel spectrogram, on `device`, without frames of padding."""

    def __init__(
        self,
        extractor: WhisperFeatureExtractor,
        device: torch.device | str,
        power: PowerSpectrum = spectrum.by_torch,
        frame_multiple: int | None = None,
    ) -> None:
        if extractor.dither or extractor.padding_value:
            raise ValueError(
                "feature extractors that dither or pad with non-zeros are not supported"
            )
        self._power = power
        self._n_fft = int(extractor.n_fft)
        self._hop = int(extractor.hop_length)
        self._hann = torch.hann_window(self._n_fft, device=device)
        filters = torch.from_numpy(extractor.mel_filters.T)
        self._filters = filters.to(device, torch.float32).contiguous()
        self._max_batch_frames = MAX_BATCH_FRAMES.get(self._hann.device.type, MAX_FRAMES)
        self._frame_multiple = frame_multiple or FRAME_MULTIPLE.get(self._hann.device.type, 1)

    @torch.inference_mode()
    def __call__(self, samples: Sequence[Samples]) -> list[torch.Tensor]:
        """Return each window's log-mel, float32 `(mels, num_conv_frames)`, in order.

        Takes windows of 321 to 480,000 samples of mono 16 kHz. Those with equally
        many frames are transformed together, and share the memory of their log-mels.

        Raises:
            ValueError: a window is too short for one audio token, or longer than 30 s.
        """
        lengths = [self._num_frames(len(window)) for window in samples]
        mels: dict[int, torch.Tensor] = {}
        for places in batches(lengths, lambda num_frames: self._max_batch_frames // num_frames):
            log_mels = self._log_mels([samples[place] for place in places], lengths[places[0]])
            mels |= zip(places, log_mels, strict=False)
        return [mels[k][:, : num_conv_frames(len(window))] for k, window in enumerate(samples)]

    def _num_frames(self, num_samples: int) -> int:
        """Return how many frames of a window are computed."""
        num_audible, multiple = _num_audible_frames(num_samples), self._frame_multiple
        return min(-(-num_audible // multiple) * multiple, MAX_FRAMES)

    def _log_mels(self, batch: Sequence[Samples], num_frames: int) -> torch.Tensor:
        """Return `(windows, mels, num_frames)`; on a GPU there may be silent windows behind them.

        Computed in float32, as in training: matrix products in TF32 would be off by 1e-4.
        """
        power = self._power(self._padded(batch, num_frames), self._hann, self._hop)
        decades = (self._filters @ power).clamp_(min=FLOOR).log10_()
        loudest = decades.amax(dim=(1, 2), keepdim=True)
        return torch.maximum(decades, loudest - RANGE_DECADES).add_(4.0).div_(4.0)

    def _padded(self, batch: Sequence[Samples], num_frames: int) -> torch.Tensor:
        """Return the samples that `num_frames` frames cover, `(windows, samples)`.

        The audio is followed by silence up to 30 s, and half a frame is mirrored at both ends
        of the 30 s, as `torch.stft(center=True)` does.
        """
        reach = self._n_fft // 2
        stop = (num_frames - 1) * self._hop + reach
        num_rows = len(batch) if self._frame_multiple == 1 else 1 << (len(batch) - 1).bit_length()
        padded = np.zeros((num_rows, min(stop, windows.WINDOW_SAMPLES)), np.float32)
        for row, window in zip(padded, batch, strict=False):
            row[: len(window)] = window
        mirrored = (reach, stop - padded.shape[1])
        on_device = torch.from_numpy(padded).to(self._hann.device)
        return torch.nn.functional.pad(on_device, mirrored, mode="reflect")


def create_log_mel(
    extractor: WhisperFeatureExtractor, device: torch.device, torchaudio: Any
) -> LogMel:
    """Return the log-mel on `device`, with the module `torchaudio` if that is given and agrees.

    The log says which one it is.
    """
    ours = LogMel(extractor, device)
    if torchaudio is None:
        return ours
    try:
        theirs = LogMel(extractor, device, spectrum.by_torchaudio(torchaudio))
        difference = _largest_difference(ours, theirs)
    except Exception as error:  # noqa: BLE001 - whatever it is, torch is there
        logs.get().warning("mel.torchaudio_failed", error=f"{type(error).__name__}: {error}")
        return ours
    if difference <= MAX_DIFFERENCE:
        logs.get().info("mel.torchaudio_used", difference=difference)
        return theirs
    logs.get().warning("mel.torchaudio_differs", difference=difference, limit=MAX_DIFFERENCE)
    return ours


def _largest_difference(one: LogMel, other: LogMel) -> float:
    """Return the largest difference of two log-mels of a short and of a full window; NaN is inf."""
    noise = np.random.default_rng(0).standard_normal(windows.WINDOW_SAMPLES).astype(np.float32)
    samples = [noise[: windows.SAMPLE_RATE_HZ] * np.float32(1e-3), noise]
    pairs = zip(one(samples), other(samples), strict=True)
    return max(float((a - b).abs().nan_to_num(nan=torch.inf).max()) for a, b in pairs)


def _num_audible_frames(num_samples: int) -> int:
    """Return the number of frames from the start that contain all of the audio.

    A frame reaches 200 samples back and a hop is 160: the end of the audio can be in the
    *second* frame of padding, which `num_conv_frames` may leave out, and it may be the loudest.
    All frames after it are at `FLOOR`, and so never the loudest.
    """
    if not windows.MIN_TAIL_SAMPLES <= num_samples <= windows.WINDOW_SAMPLES:
        low, high = windows.MIN_TAIL_SAMPLES, windows.WINDOW_SAMPLES
        raise ValueError(f"a window has {low} to {high} samples, not {num_samples}")
    return min(-(-num_samples // windows.HOP_SAMPLES) + 2, MAX_FRAMES)
