"""Samples, windows, frames and audio tokens of Music Flamingo's audio encoder.

The encoder takes 16 kHz mono audio in windows of 30 s. A window becomes 3,000 mel
frames (one per 10 ms), which a convolution of stride 2 and a pooling of 2 turn
into 750 audio tokens: 25 per second, 40 ms each.

All published Music Flamingo checkpoints have these values; a pod checks them against
the checkpoint that it loads.

Pure: integers in, integers out.
"""

import math

SAMPLE_RATE_HZ = 16_000
WINDOW_S = 30
WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE_HZ
HOP_SAMPLES = 160
"""Samples per mel frame."""
FRAME_S = 0.04
"""Seconds between two encoder output positions, which is also one audio token."""
TOKENS_PER_WINDOW = 750
SAMPLES_PER_FRAME = 640
ROUNDING = 1e-6
"""Of a frame: 60 s / 0.04 s is not exactly 1500."""
MIN_TAIL_SAMPLES = 321
"""Fewest samples that yield a token: 1-2 mel frames yield none."""


def num_windows(seconds: float) -> int:
    """Return the number of windows of a clip of `seconds`; at least one."""
    return max(1, math.ceil(seconds / WINDOW_S))


def num_tokens_of_window(num_samples: int) -> int:
    """Return the number of audio tokens of a window of `num_samples` (at most 480,000)."""
    num_frames = -(-num_samples // HOP_SAMPLES)
    return (num_frames + 1) // 2 // 2


def num_tokens(num_samples: int) -> int:
    """Return the number of audio tokens of a clip of `num_samples` at 16 kHz."""
    full, tail = divmod(num_samples, WINDOW_SAMPLES)
    return full * TOKENS_PER_WINDOW + num_tokens_of_window(tail)


def frame_samples(start_s: float, end_s: float | None) -> tuple[int, int | None]:
    """Return where a part of a clip begins and ends, in samples: all frames that it touches."""
    start = math.floor(start_s / FRAME_S + ROUNDING)
    end = None if end_s is None else math.ceil(end_s / FRAME_S - ROUNDING)
    return start * SAMPLES_PER_FRAME, None if end is None else end * SAMPLES_PER_FRAME


def spans(num_samples: int, first_frame: int = 0) -> list[tuple[int, int]]:
    """Return the `(start, stop)` samples of each window, in order.

    The windows are those of the whole clip, in which the samples begin at `first_frame`: the first
    one is shorter if they begin inside of it.

    A last window of fewer than `MIN_TAIL_SAMPLES` is left out: it has no token, and
    transformers' pipeline fails on it or, in a batch, shifts the timestamps of the
    next clip by 30 s.
    """
    second = WINDOW_SAMPLES - first_frame % TOKENS_PER_WINDOW * SAMPLES_PER_FRAME
    starts = [0, *range(second, num_samples, WINDOW_SAMPLES)]
    all_spans = list(zip(starts, [*starts[1:], num_samples], strict=True))
    return [(start, stop) for start, stop in all_spans if stop - start >= MIN_TAIL_SAMPLES]
