"""The loudness of a clip by EBU R 128, at its own sample rate and of all of its channels.

FFmpeg's filter `ebur128` implements ITU-R BS.1770 and EBU Tech 3342. Blocks go through it as they
are decoded, so that memory does not grow with the clip.
"""

import contextlib
import itertools
import math
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from flamingo_pod.audio import downmix, planes
from flamingo_pod.audio.blocks import Block
from flamingo_pod.audio.decode import MAX_PEAK
from flamingo_pod.measurement.results import LOUDNESS, PEAK, RANGE, Loudness

CHUNK_SAMPLES = 16_384
SILENT_LUFS = -70.0
"""The absolute gate of BS.1770: what is below it does not count."""
MIN_LOUDNESS_S = 0.4
"""One gating block."""
MIN_RANGE_S = 3.0
"""One short-term window of EBU Tech 3342."""
PEAK_STEP = 0.001
"""The filter states true peaks with three decimals."""
CHANGED = "the clip changes its sample rate or its channels"
TOO_SHORT = "the clip is shorter than {:g} s"
SILENT = f"the clip is silent: all of it is below {SILENT_LUFS:g} LUFS"
Rows = NDArray[np.float32]


class LoudnessMeter:
    """Measures blocks between two times of the clip; `add` is called with each, in order."""

    def __init__(self, start_s: float, end_s: float | None) -> None:
        self._start_s, self._end_s = start_s, math.inf if end_s is None else end_s
        self._position_s = 0.0
        self._shape: tuple[int, str, int] | None = None
        """Sample rate, layout, and number of channels."""
        self._graph: Any = None
        self._pending: list[Rows] = []
        self._num_pending = self._num_samples = 0
        self._peak = 0.0
        self._metadata: dict[str, str] = {}
        self._reason = ""

    def add(self, block: Block) -> None:
        """Measure a block; silence in the place of missing audio does not count."""
        start_s = self._position_s
        self._position_s += len(block.samples) / block.rate_hz
        first, last = (
            min(max(round((edge_s - start_s) * block.rate_hz), 0), len(block.samples))
            for edge_s in (self._start_s, min(self._end_s, self._position_s + 1.0))
        )
        if block.frame is None or first >= last or self._reason:
            return
        shape = _shape(block.frame)
        if self._shape not in (None, shape):
            self._reason = CHANGED
            return
        if self._shape is None:
            self._shape, self._graph = shape, _graph(*shape)
        rows = _interleaved(block.frame)[-len(block.samples) :][first:last]
        self._pending.append(rows)
        self._num_pending += len(rows)
        if self._num_pending >= CHUNK_SAMPLES:
            self._push()

    def result(self) -> tuple[Loudness, dict[str, str]]:
        """Return what was measured, and why a field could not be, by its name."""
        if self._reason:
            return Loudness(), dict.fromkeys((LOUDNESS, RANGE, PEAK), self._reason)
        if self._pending:
            self._push()
        seconds = self._num_samples / self._shape[0] if self._shape else 0.0
        # The filter has written its last values behind the last whole tenth of a second.
        integrated = float(self._metadata.get("lavfi.r128.I", -math.inf))
        reasons = {}
        if seconds < MIN_LOUDNESS_S:
            reasons[LOUDNESS] = TOO_SHORT.format(MIN_LOUDNESS_S)
        elif integrated <= SILENT_LUFS:
            reasons[LOUDNESS] = SILENT
        if seconds < MIN_RANGE_S:
            reasons[RANGE] = TOO_SHORT.format(MIN_RANGE_S)
        elif LOUDNESS in reasons:
            reasons[RANGE] = reasons[LOUDNESS]
        peak = self._true_peak()
        if not peak:
            reasons[PEAK] = "the clip is silent"
        range_lu = float(self._metadata.get("lavfi.r128.LRA", 0.0))
        return Loudness(
            None if LOUDNESS in reasons else round(integrated, 2),
            None if RANGE in reasons else round(range_lu, 2),
            round(20 * math.log10(peak), 2) if peak else None,
        ), reasons

    def _true_peak(self) -> float:
        """Return the true peak, between the filter's rounded value and the exact sample peak."""
        stated = float(self._metadata.get("lavfi.r128.true_peak", 0.0))
        if not stated:
            return self._peak
        return max(self._peak, stated - PEAK_STEP / 2)

    def _push(self) -> None:
        assert self._shape is not None  # there are samples
        rate_hz, layout, _ = self._shape
        rows = np.concatenate(self._pending)
        self._pending, self._num_pending = [], 0
        # Damaged packets of a lossy codec can decode to anything; the decoder silences them.
        rows = np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)
        rows[np.abs(rows) > MAX_PEAK] = 0.0
        self._peak = max(self._peak, float(np.abs(rows).max(initial=0.0)))
        source, sink, _ = self._graph
        frame = av.AudioFrame.from_ndarray(rows.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
        frame.pts = self._num_samples
        self._num_samples += len(rows)
        source.push(frame)
        with contextlib.suppress(av.error.BlockingIOError):
            for _ in itertools.count():
                self._metadata = dict(sink.pull().metadata) or self._metadata


def _shape(frame: Any) -> tuple[int, str, int]:
    num_channels = frame.layout.nb_channels
    layout = frame.layout.name
    # A layout that does not name its channels, or as FFmpeg's filters cannot, counts all equally.
    try:
        is_usable = av.AudioLayout(layout).nb_channels == num_channels
    except ValueError:
        is_usable = False
    return frame.sample_rate, layout if is_usable else f"{num_channels} channels", num_channels


def _graph(rate_hz: int, layout: str, _: int) -> tuple[Any, Any, Any]:
    """Return source, sink, and the graph, which frees both when it is freed."""
    graph = av.filter.Graph()
    options = {"sample_fmt": "flt", "channel_layout": layout, "time_base": f"1/{rate_hz}"}
    source = graph.add("abuffer", sample_rate=str(rate_hz), **options)
    meter = graph.add("ebur128", "metadata=1:peak=true")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    return source, sink, graph


def _interleaved(frame: Any) -> Rows:
    """Return the samples as `(samples, channels)`, scaled to full scale 1."""
    rows = np.stack(planes.of(frame), axis=1)
    scale = downmix.INTEGER_SCALES.get(rows.dtype, 1.0)
    is_unsigned = rows.dtype == np.uint8
    samples: Rows = rows.astype(np.float32)
    if is_unsigned:
        samples -= np.float32(128)
    if scale != 1:
        samples *= np.float32(scale)
    return samples
