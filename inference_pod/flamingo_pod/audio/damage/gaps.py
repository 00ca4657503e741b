"""How much silence belongs before each frame of a clip: what its file has lost there.

Most containers have timestamps. A plain MP3 or AAC file has none, since FFmpeg counts its packets;
it has lost as many frames of the mean size as fit into the bytes that could not be decoded.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from flamingo_pod.audio.containers.file_view import FileView
from flamingo_pod.audio.damage.lost_bytes import LostBytes, PagedBytes, SearchedBytes, StatedBytes
from flamingo_pod.audio.damage.timeline import TOLERANCE_S, Timeline

UNTIMED = frozenset({"mp3", "aac"})
"""Containers without timestamps."""
VORBIS_TOLERANCE_S = 0.05
"""FFmpeg's timestamps of a Vorbis packet are off by a part of a block where its size changes."""
MIN_SKIPPED_AT_END_S = 0.25
MIN_SKIPPED_PAGES_S = 0.1
MIN_SHARE_AT_END = 0.02
"""How much must be left of a file after the last packet to be audio rather than an index."""
MIN_CLUSTER_S = 0.5
MAX_START_RATIO = 1.5
"""By how much the bytes before the first packet and as many seconds at the mean rate may differ."""
NUM_USUAL_FRAMES = 8
"""The first frames show how many samples a frame of the clip has."""


@dataclass(slots=True)
class Failures:
    """The packets that could not be decoded since the last one that could."""

    count: int = 0
    start_s: float | None = None
    """Timestamp of the first."""
    end_s: float | None = None
    """Timestamp of the last one's end."""
    seconds: float = 0.0
    """Their duration, as stated."""

    def add(self, packet: Any, tick_s: float) -> None:
        """Add a packet; `tick_s` is the unit of its timestamp."""
        self.count += 1
        if packet.pts is not None:
            start_s, seconds = packet.pts * tick_s, (packet.duration or 0) * tick_s
            self.start_s = start_s if self.start_s is None else self.start_s
            self.end_s = start_s + seconds
            self.seconds += seconds


class Gaps(Protocol):
    """Finds the gaps of one clip."""

    lost: Any
    """The clip's `LostBytes`."""

    @property
    def position_s(self) -> float:
        """Duration of the samples and gaps so far."""

    @property
    def timestamp_s(self) -> float:
        """What follows has this timestamp; not less than the duration so far."""

    def lost_at_end_s(self, file_bytes: int) -> float:
        """Return the duration of the clip's last packets, if they could not be decoded."""

    def follows(self, packet: Any, pts: int | None, num_samples: int, rate_hz: int) -> bool:
        """Return whether a frame follows the last one without a gap; if so, go past it."""

    def is_unsure(self, packet: Any, pts: int | None) -> bool:
        """Return whether only a later frame shows where a packet's frame belongs."""

    def before(self, packet: Any, start_s: float | None, rate_hz: int) -> float:
        """Return the seconds of silence before a frame; negative for samples to leave out."""

    def before_last(self, packet: Any, seconds: float, rate_hz: int) -> float:
        """Return the seconds of silence before the last frames, which have no timestamps.

        They take `seconds`, and `packet` holds the last of them.
        """

    def add_gap(self, seconds: float) -> None:
        """Go past a gap."""

    def add_frame(self, num_samples: int, rate_hz: int) -> None:
        """Go past a frame."""

    def add_packet(self, packet: Any) -> None:
        """Go past a packet that was decoded."""

    def add_failed(self, packet: Any) -> None:
        """Go past a packet that could not be decoded."""


@dataclass(slots=True)
class CountedGaps:
    """Finds the gaps of a clip without timestamps."""

    lost: SearchedBytes
    position_s: float = 0.0
    _has_failed: bool = False
    _num_bytes: int = 0
    _num_packets: int = 0
    _most_bytes: int = 0
    """Of a packet so far."""
    _num_zeros: int = 0
    """Bytes before the frame in a packet."""
    _frame_s: float = 0.0
    """Duration of a frame, as two in succession had it: the first one and the last one can be
    shorter, and what FFmpeg takes for a frame in noise has any duration."""
    _last_s: float = 0.0
    """Duration of the last frame."""

    @property
    def timestamp_s(self) -> float:
        """Duration of the samples and gaps so far."""
        return self.position_s

    def lost_at_end_s(self, _: int) -> float:
        """Return 0: tags follow the audio."""
        return 0.0

    def follows(self, packet: Any, _: int | None, num_samples: int, rate_hz: int) -> bool:
        """Return whether nothing was lost; if so, go past a frame."""
        if packet.size > self._most_bytes and self._num_packets:
            # FFmpeg joins a hole that begins where a frame does to the next one, and skips zeros.
            self._num_zeros = packet.size - len(bytes(packet).lstrip(b"\0"))
        if self._has_failed or self._num_zeros:
            return False
        self.add_frame(num_samples, rate_hz)
        return True

    def is_unsure(self, _: Any, _pts: int | None) -> bool:
        """Return False: there are no timestamps to wait for."""
        return False

    def before(self, packet: Any, _: float | None, _rate_hz: int) -> float:
        """Return the duration of the frames that were lost before a packet."""
        self._has_failed = False
        if not self._num_packets:
            return 0.0
        num_bytes = self.lost.before(packet) + self._num_zeros
        num_lost = round(num_bytes * self._num_packets / self._num_bytes)
        return num_lost * (self._frame_s or self.position_s / self._num_packets)

    def before_last(self, _: Any, _seconds: float, _rate_hz: int) -> float:
        """Return 0: there are no timestamps."""
        return 0.0

    def add_gap(self, seconds: float) -> None:
        """Go past a gap."""
        self.position_s += seconds

    def add_frame(self, num_samples: int, rate_hz: int) -> None:
        """Go past a frame."""
        seconds = num_samples / rate_hz
        self.position_s += seconds
        if seconds == self._last_s:
            self._frame_s = seconds
        self._last_s = seconds

    def add_packet(self, packet: Any) -> None:
        """Go past a packet that was decoded."""
        if packet.size:
            self.lost.add(packet)
            num_bytes, self._num_zeros = packet.size - self._num_zeros, 0
            self._num_bytes += num_bytes
            self._num_packets += 1
            self._most_bytes = max(self._most_bytes, num_bytes)
            self._has_failed = self.lost.has_lost

    def add_failed(self, _: Any) -> None:
        """Go past a packet that could not be decoded."""
        self._has_failed = True


@dataclass(slots=True)
class TimedGaps:
    """Finds the gaps of a clip with timestamps."""

    timeline: Timeline
    container: str
    tick_s: float
    """The unit of timestamps."""
    bytes_per_s: float
    """Of the whole file, as long as none is decoded; 0 if it is not known."""
    lost: LostBytes
    pages: PagedBytes | None
    """`lost`, if the container is Ogg."""
    is_frame_size_constant: bool
    _failures: Failures = field(default_factory=Failures)
    _num_bytes: int = 0
    _num_frames: int = 0
    _decoded_s: float = 0.0
    _usual_samples: int = 0
    """Samples of most frames."""
    _last_samples: int = 0
    """Samples of the last frame."""

    @property
    def position_s(self) -> float:
        """Duration of the samples and gaps so far."""
        return self.timeline.position_s

    @property
    def timestamp_s(self) -> float:
        """What follows has this timestamp; not less than the duration so far."""
        return max(self.timeline.next_s or 0.0, self.timeline.position_s)

    def lost_at_end_s(self, file_bytes: int) -> float:
        """Return the duration of the clip's last packets, if they could not be decoded."""
        failed_s = max(self.timeline.jump_s(self._failures.end_s), 0.0)
        skipped_s = 0.0
        if self._num_bytes:  # frames that came without a packet have none
            skipped_s = self.lost.after_last(file_bytes) * self._decoded_s / self._num_bytes
        least_s = max(MIN_SKIPPED_AT_END_S, MIN_SHARE_AT_END * self._decoded_s)
        is_much = skipped_s > (MIN_SKIPPED_PAGES_S if self.pages else least_s)
        return max(failed_s, skipped_s if is_much else 0.0)

    def follows(self, packet: Any, pts: int | None, num_samples: int, rate_hz: int) -> bool:
        """Return whether a frame follows the last one without a gap; if so, go past it."""
        next_s = self.timeline.next_s
        if pts is None or next_s is None or (self.pages and self.pages.is_new_page(packet)):
            return False
        tolerance_s = self.timeline.tolerance_s
        if not -tolerance_s <= pts * self.tick_s - next_s <= tolerance_s:
            return False
        self.add_frame(num_samples, rate_hz)
        return True

    def is_unsure(self, packet: Any, pts: int | None) -> bool:
        """Return whether only a later frame shows where a packet's frame belongs.

        FFmpeg's timestamps go on as before with the first packet after lost Ogg pages, and with
        all packets of the last page.
        """
        if pts is None:
            return True
        if not self.pages or self.timeline.next_s is None:
            return False
        if self.pages.is_in_last_page(packet):
            return self.pages.before(packet) > 0
        if not self.pages.is_new_page(packet):
            return False
        return not self.timeline.jump_s(pts * self.tick_s) and self.pages.before(packet) > 0

    def before_last(self, packet: Any, seconds: float, rate_hz: int) -> float:
        """Return the seconds of silence before the last frames, by the positions of Ogg pages."""
        if not self.pages:
            return 0.0
        gap_s = self.pages.samples_since(packet) * self.tick_s - seconds
        if gap_s <= self.timeline.tolerance_s or not self.pages.before(packet):
            return 0.0
        return self.timeline.gap_s(gap_s, self._lost_s(packet, rate_hz))

    def before(self, packet: Any, start_s: float | None, rate_hz: int) -> float:
        """Return the seconds of silence before a frame; negative for samples to leave out."""
        if self.timeline.next_s is None and start_s is not None:
            self.timeline.start(self._start_s(packet, start_s))
        jump_s = self.timeline.jump_s(start_s)
        return self.timeline.gap_s(jump_s, self._lost_s(packet, rate_hz)) if jump_s else 0.0

    def _start_s(self, packet: Any, start_s: float) -> float:
        """Return the clip's first timestamp, which is earlier than `start_s` if audio was lost."""
        is_flac = self.container == "flac" and self.timeline.stated_s
        if is_flac or (self.container == "ogg" and self.lost.before(packet)):
            return 0.0
        if self._failures.start_s is not None:
            return min(max(self._failures.start_s, 0.0), start_s)
        if self._has_lost_first_cluster(packet, start_s):
            self._failures = Failures(1, 0.0, start_s, start_s)
            return 0.0
        return start_s

    def _has_lost_first_cluster(self, packet: Any, start_s: float) -> bool:
        """Return whether the data before a Matroska file's first packet is what it starts late."""
        if self.container != "matroska" or not self.bytes_per_s or start_s < MIN_CLUSTER_S:
            return False
        before_s = (packet.pos or 0) / self.bytes_per_s
        return start_s / MAX_START_RATIO <= before_s <= start_s * MAX_START_RATIO

    def _lost_s(self, packet: Any, rate_hz: int) -> float:
        """Estimate how many seconds the file has lost before a packet, by the mean bit rate."""
        # A FLAC packet without a timestamp is data that FFmpeg could not divide into frames.
        num_lost = packet.size if packet.pts is None else self.lost.before(packet)
        bytes_per_s = self._num_bytes / self._decoded_s if self._decoded_s else self.bytes_per_s
        lost_s = self._failures.seconds + (num_lost / bytes_per_s if bytes_per_s else 0.0)
        if self.is_frame_size_constant:
            lost_s += abs(self._last_samples - self._usual_samples) / rate_hz
        return lost_s

    def add_gap(self, seconds: float) -> None:
        """Go past a gap."""
        self.timeline.advance(seconds)

    def add_frame(self, num_samples: int, rate_hz: int) -> None:
        """Go past a frame."""
        seconds, self._last_samples = num_samples / rate_hz, num_samples
        self.timeline.advance(seconds)
        self._decoded_s += seconds
        if self._num_frames < NUM_USUAL_FRAMES:
            self._num_frames += 1
            self._usual_samples = max(self._usual_samples, num_samples)

    def add_packet(self, packet: Any) -> None:
        """Go past a packet that was decoded."""
        if packet.pts is not None:
            self.lost.add(packet)
            self._num_bytes += packet.size
        if self._failures.count:
            self._failures = Failures()

    def add_failed(self, packet: Any) -> None:
        """Go past a packet that could not be decoded."""
        self._failures.add(packet, self.tick_s)


def find_gaps(view: FileView, container: str, stream: Any, stated_s: float | None) -> Gaps:
    """Return the finder of a clip's gaps; `container` is FFmpeg's name."""
    if container in UNTIMED:
        return CountedGaps(SearchedBytes(view.read_at))
    tick_s, codec = float(stream.time_base), stream.codec_context.name
    is_vorbis = codec == "vorbis"
    duration_s = None if stream.duration is None else stream.duration * tick_s
    if container == "matroska" and not stream.container.streams.video:
        duration_s = stated_s
    lost = _lost_bytes(container, view, stream)
    return TimedGaps(
        timeline=Timeline(
            stated_s, container == "flac", VORBIS_TOLERANCE_S if is_vorbis else TOLERANCE_S
        ),
        container=container,
        tick_s=tick_s,
        bytes_per_s=view.num_bytes / duration_s if duration_s else 0.0,
        lost=lost,
        pages=lost if isinstance(lost, PagedBytes) else None,
        is_frame_size_constant=not is_vorbis,
    )


def _lost_bytes(container: str, view: FileView, stream: Any) -> LostBytes:
    if container == "flac":
        return SearchedBytes(view.read_at)
    if container == "ogg":
        return PagedBytes(view.read_at)
    # FFmpeg counts the packets of an MP4 file unless it is fragmented.
    return StatedBytes(is_audio_last=container == "mov" and not stream.frames)
