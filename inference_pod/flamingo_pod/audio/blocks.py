"""Decode a stream's packets into blocks of mono float32 at the clip's own sample rate.

Time stays true: where the file has lost audio, there are blocks of silence.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import av
import numpy as np

from flamingo_common.audio.formats import Format
from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import aac_layout, downmix, planes
from flamingo_pod.audio.containers.file_view import FileView
from flamingo_pod.audio.damage import flac_frames, gaps, stated_length
from flamingo_pod.audio.damage.missing_audio import Rest
from flamingo_pod.audio.downmix import Samples

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000
MAX_CHANNELS = 32
UNNAMED = "NONE"
"""FFmpeg's name of a channel without one."""
STEREO = 2
MIN_SHARE_UNREAD = 0.5
"""Of the bytes that the missing seconds should have: if there are so many, they are damaged."""
TAIL_BYTES, MIN_SHARE_BLANK = 4096, 0.9
"""The end of a file has so many zeros if the rest of it was allocated and never written."""
MAX_FAILED_READS = 8
"""Of one file, before it is given up."""
CHECKED = frozenset({"flac", "tta", "wavpack"})
"""Codecs whose frames have checksums."""
SILENCE = np.zeros(2**16, np.float32)


class Block(NamedTuple):
    """A part of the clip, downmixed to mono."""

    rate_hz: int
    samples: Samples
    num_pcm_bytes: int
    """Its size as float32 before downmixing."""
    gap_s: float = 0.0
    """Duration of the gap whose silence begins with this block; 0 for any other block."""
    frame: Any = None
    """The decoded frame that it was mixed from, whose first samples it may lack; None: silence."""


def check_shape(rate_hz: int, num_channels: int) -> None:
    """Check the sample rate and the number of channels.

    Raises:
        InvalidAudio: one of them is out of range.
    """
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise InvalidAudio(
            f"unsupported sample rate {rate_hz} Hz; supported: {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        )
    if not 1 <= num_channels <= MAX_CHANNELS:
        # FFmpeg cannot represent more than 512, and says 0.
        number = num_channels or "no channels, or more than 512"
        raise InvalidAudio(f"the audio has {number} channels; supported: 1 to {MAX_CHANNELS}")


class BlockReader:
    """Reads a clip's blocks, with silence for what is missing inside the clip."""

    def __init__(self, view: FileView, kind: Format, source: Any, stream: Any) -> None:
        container = kind.demuxer
        self._view, self._kind, self._container = view, kind, container
        self._source, self._stream = source, stream
        self._tick_s = float(stream.time_base)
        if stream.codec_context.name in CHECKED:
            # Else a frame with a valid header and damaged data decodes to noise.
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._is_flac = stream.codec_context.name == "flac" and container in {"flac", "ogg"}
        self._block_samples = 0
        """Samples of a frame of a FLAC of fixed block size."""
        self._stated_s = _stated_s(view, container, source, stream)
        self._names = _configured_names(stream)
        self._gaps = gaps.find_gaps(view, container, stream, self._stated_s)
        self._untimed = list[Block]()
        """Blocks without a timestamp, until that of the next one is known."""
        self._untimed_packet: Any = None
        """That of the last of them."""
        self._has_failed = False

    def blocks(self) -> Iterator[Block]:
        """Yield what can be decoded, and silence for what cannot.

        Raises:
            InvalidAudio: nothing can be decoded.
        """
        gaps = self._gaps
        for packet in self._packets():
            try:
                frames = self._frames(packet) if self._is_flac else packet.decode()
            except av.error.MemoryError:
                raise
            except av.FFmpegError:
                self._add_failed(packet)
                continue
            for frame in frames:
                block, pts = _block(frame, self._names), frame.pts
                num_samples = len(block.samples)
                if not self._untimed and gaps.follows(packet, pts, num_samples, block.rate_hz):
                    yield block
                else:
                    yield from self._placed(packet, pts, block)
            if frames:
                gaps.add_packet(packet)
        yield from self._last_blocks()
        if not gaps.position_s and (self._has_failed or self._stated_s):
            raise InvalidAudio(f"the {self._kind.name} audio is damaged or incomplete")

    def _add_failed(self, packet: Any) -> None:
        self._has_failed = True
        if packet.size:
            self._gaps.add_failed(packet)

    def rest(self) -> Rest:
        """Return what is missing after the last block, as stated; known once all are read."""
        num_bytes, gaps = self._view.num_bytes, self._gaps
        extent = stated_length.extent_of(self._container, self._view.read_at)
        if self._container == "mp3":
            num_bytes = stated_length.mp3_bytes(extent, gaps.lost.end, num_bytes)
        length = stated_length.StatedLength(
            self._container, num_bytes, extent, self._stated_s, is_damaged=self._has_failed
        )
        # A clip that starts late ends at the stated time, not after the stated duration.
        is_late = self._container == "matroska" and not self._has_failed
        end_s = gaps.timestamp_s if is_late else gaps.position_s
        seconds = max(length.rest_s(end_s), gaps.lost_at_end_s(num_bytes))
        is_unread = not length.is_cut and self._goes_on(seconds)
        return Rest(0.0, seconds) if is_unread else Rest(seconds)

    def _goes_on(self, seconds: float) -> bool:
        """Return whether the file has data for some seconds after the last block."""
        num_bytes, gaps = self._view.num_bytes, self._gaps
        end, position_s = gaps.lost.end, gaps.position_s
        if not seconds or not end or not position_s:
            return False
        is_enough = num_bytes - end >= seconds * end / position_s * MIN_SHARE_UNREAD
        tail = self._view.read_at(max(num_bytes - TAIL_BYTES, 0), TAIL_BYTES)
        return is_enough and tail.count(0) < len(tail) * MIN_SHARE_BLANK

    def _packets(self) -> Iterator[Any]:
        """Yield the packets; the demuxer goes on after most of what it cannot read."""
        for _ in range(MAX_FAILED_READS):
            try:
                yield from self._source.demux(self._stream)
            except av.error.InvalidDataError:
                self._has_failed = True
            else:
                return

    def _frames(self, packet: Any) -> list[Any]:
        """Return the frames of a FLAC packet, with timestamps from their headers if they need them.

        FFmpeg cannot divide a damaged FLAC file into frames, and in Ogg its timestamps are wrong
        after lost pages.
        """
        if packet.size and packet.pts is None and self._container == "flac":
            found_frames = list(self._found_frames(bytes(packet)))
            self._has_failed |= not found_frames
            return found_frames
        frames: list[Any] = packet.decode()
        if frames and not self._block_samples:
            self._block_samples = frames[0].samples
        if frames and packet.size and self._container == "ogg":
            for found in flac_frames.split(bytes(packet)[: flac_frames.MAX_HEADER_BYTES]):
                self._set_pts(frames[0], found)
        return frames

    def _found_frames(self, data: bytes) -> Iterator[Any]:
        for found in flac_frames.split(data):
            with contextlib.suppress(av.error.InvalidDataError):
                for frame in self._stream.codec_context.decode(av.Packet(found.data)):
                    self._set_pts(frame, found)
                    yield frame

    def _set_pts(self, frame: Any, found: flac_frames.FoundFrame) -> None:
        start_s = found.first_sample(self._block_samples or frame.samples) / frame.sample_rate
        frame.pts = round(start_s / self._tick_s)

    def _placed(self, packet: Any, pts: int | None, block: Block) -> Iterator[Block]:
        """Yield a block, after the silence that belongs before it."""
        if self._gaps.is_unsure(packet, pts):
            self._untimed.append(block)
            self._untimed_packet = packet
            return
        blocks, self._untimed = [*self._untimed, block], []
        untimed_s = _seconds(blocks[:-1])
        start_s = None if pts is None else pts * self._tick_s - untimed_s
        gap_s = self._gaps.before(packet, start_s, block.rate_hz)
        if gap_s > 0:
            yield from self._silence(gap_s, block.rate_hz)
        elif gap_s < 0:
            first = blocks[0]
            kept = first.samples[round(-gap_s * first.rate_hz) :]
            blocks[0] = first._replace(samples=kept)
        yield from self._counted(blocks)

    def _last_blocks(self) -> Iterator[Block]:
        """Yield the last blocks, if they have no timestamps, after the silence before them."""
        if not self._untimed:
            return
        rate_hz = self._untimed[0].rate_hz
        gap_s = self._gaps.before_last(self._untimed_packet, _seconds(self._untimed), rate_hz)
        yield from self._silence(gap_s, rate_hz)
        yield from self._counted(self._untimed)

    def _counted(self, blocks: list[Block]) -> Iterator[Block]:
        for block in blocks:
            self._gaps.add_frame(len(block.samples), block.rate_hz)
            yield block

    def _silence(self, gap_s: float, rate_hz: int) -> Iterator[Block]:
        num_samples = max(round(gap_s * rate_hz), 0)
        gap_s = num_samples / rate_hz
        self._gaps.add_gap(gap_s)
        for start in range(0, num_samples, len(SILENCE)):
            samples = SILENCE[: num_samples - start]
            yield Block(rate_hz, samples, samples.nbytes, 0.0 if start else gap_s)


def _stated_s(view: FileView, container: str, source: Any, stream: Any) -> float | None:
    """Return the duration that the header states, of this stream and not of a longer one."""
    if container == "asf":  # FFmpeg estimates it if the size is not as stated
        return stated_length.seconds_of_asf(view.read_at)
    if container in stated_length.UNSTATED:
        return None
    if container != "matroska":
        return None if stream.duration is None else stream.duration * float(stream.time_base)
    if len(source.streams) == 1:
        return None if source.duration is None else source.duration / av.time_base
    return stated_length.seconds_of_tag(stream.metadata.get("DURATION", ""))


def _seconds(blocks: Iterable[Block]) -> float:
    return sum(len(block.samples) / block.rate_hz for block in blocks)


def _block(frame: Any, configured_names: tuple[str, ...]) -> Block:
    # Checked for each frame: an Ogg may change its rate or its number of channels.
    rate_hz, num_channels = frame.sample_rate, frame.layout.nb_channels
    check_shape(rate_hz, num_channels)
    # One or two channels count equally, whatever they are called.
    names = () if num_channels <= STEREO else _channel_names(frame)
    if set(names) == {UNNAMED} and len(configured_names) == num_channels:
        names = configured_names
    samples = downmix.to_mono(planes.of(frame), names)
    return Block(rate_hz, samples, samples.nbytes * num_channels, frame=frame)


def _configured_names(stream: Any) -> tuple[str, ...]:
    """Return the names of the channels where FFmpeg may not know them; empty if it does."""
    codec = stream.codec_context
    is_aac = codec.name.startswith("aac") and codec.extradata
    return aac_layout.channel_names(bytes(codec.extradata)) if is_aac else ()


def _channel_names(frame: Any) -> tuple[str, ...]:
    return tuple(channel.name for channel in frame.layout.channels)
