"""Read a clip's file as blocks of mono float32 at its own sample rate, with FFmpeg.

All containers are read by the same library, because two would disagree: where a FLAC's header
states 1 s and 600 s follow, libsndfile stops at 1 s and FFmpeg plays 600, as every player does. No
decision depends on the header; limits apply to what is decoded.
"""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import containers

Samples = NDArray[np.float32]

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000
MAX_CHANNELS = 32
MAX_TAGS = 4
"""ID3 tags before the audio; a file tagged by several programs has two."""
MAX_STREAMS = 32
TOLERATED_BAD_PACKETS = 4
"""Packets that may be invalid in any file: its end is cut off, or a tag follows it."""
MAX_BAD_PACKETS_RATIO = 0.05
"""The share of a file's packets that may be invalid. Players skip them, too."""
INTEGER_SCALES = {np.dtype(np.int16): 2.0**-15, np.dtype(np.int32): 2.0**-31}
"""Scales full scale to 1. FFmpeg stores 24 bits in the upper bits of 32."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the clip, downmixed to mono."""

    rate_hz: int
    samples: Samples
    num_pcm_bytes: int
    """Its size as float32 before downmixing."""


@dataclass(frozen=True, slots=True)
class OpenClip:
    """A clip whose header has been read."""

    header_duration_s: float | None
    """Its duration according to its header, which may be wrong."""
    blocks: Iterator[Block]


@contextlib.contextmanager
def open_clip(file: io.FileIO) -> Iterator[OpenClip]:
    """Open a clip and yield its first audio stream.

    Raises:
        InvalidAudio: unsupported container, damaged, or without an audio stream.
    """
    container = _container(file)
    with _translate_errors(container), _open(file, container) as source:
        if not source.streams.audio:
            raise InvalidAudio(f"the {container} file has no audio stream")
        stream = source.streams.audio[0]
        if stream.codec_context is None:
            raise InvalidAudio(f"the {container} file's audio codec is not supported")
        stream.codec_context.thread_count = 1
        _check_shape(stream.rate, stream.channels)
        yield OpenClip(_header_duration_s(source, stream), _blocks(source, stream))


def _container(file: io.FileIO) -> str:
    """Return the container's name; its magic number may come after ID3 tags."""
    start, is_tagged = 0, False
    for _ in range(MAX_TAGS):
        file.seek(start)
        head = file.read(containers.HEAD_BYTES)
        if not (num_tag_bytes := containers.id3_bytes(head)):
            break
        start, is_tagged = start + num_tag_bytes, True
    # There is often padding between an MP3's tag and its first frame.
    container = containers.sniff(head) or ("mp3" if is_tagged else None)
    file.seek(0)
    if container is None:
        raise InvalidAudio(
            f"unsupported audio format; supported formats: {containers.SUPPORTED_FORMATS}"
        )
    return container


@contextlib.contextmanager
def _translate_errors(container: str) -> Iterator[None]:
    """Replace FFmpeg's messages, which may contain memory addresses (CVE-2026-22778)."""
    try:
        yield
    except (av.FFmpegError, UnicodeDecodeError):
        raise InvalidAudio(f"the {container} audio is damaged or incomplete") from None


def _open(file: io.FileIO, container: str) -> Any:
    return av.open(
        file,
        format=container,
        metadata_errors="replace",
        io_open=_refuse_to_open,
        container_options={
            "codec_whitelist": containers.ALLOWED_CODECS,
            "format_whitelist": container,
            "max_streams": str(MAX_STREAMS),
        },
    )


def _refuse_to_open(*_: object) -> Any:
    """Open nothing: a clip is one file, whatever other files it refers to."""
    raise PermissionError("the clip refers to another file")


def _header_duration_s(source: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if source.duration is None else source.duration / av.time_base


def _check_shape(rate_hz: int, num_channels: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise InvalidAudio(
            f"unsupported sample rate {rate_hz} Hz; supported: {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        )
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise InvalidAudio(f"the audio has {num_channels} channels; supported: 1 to {MAX_CHANNELS}")


def _blocks(source: Any, stream: Any) -> Iterator[Block]:
    """Yield what can be decoded; a few invalid packets are skipped."""
    num_packets = num_bad = 0
    for packet in source.demux(stream):
        num_packets += 1
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            num_bad += 1
            if num_bad > TOLERATED_BAD_PACKETS + MAX_BAD_PACKETS_RATIO * num_packets:
                raise
            continue
        for frame in frames:
            # Checked for each frame: an Ogg may change its rate or its number of channels.
            _check_shape(frame.sample_rate, frame.layout.nb_channels)
            yield _block(frame)


def _block(frame: Any) -> Block:
    values = frame.to_ndarray()
    num_channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        values = values.reshape(-1, num_channels).T
    return Block(frame.sample_rate, _downmix(values), values.size * 4)


def _downmix(channels: NDArray[Any]) -> Samples:
    """Return the mean of the rows, scaled to full scale 1.

    Row by row, since numpy's `mean` over an axis takes nine times as long.
    """
    total: Samples = channels[0].astype(np.float32)
    for channel in channels[1:]:
        total += channel
    if channels.dtype == np.uint8:
        total -= np.float32(128 * len(channels))
        scale = 2.0**-7
    else:
        scale = INTEGER_SCALES.get(channels.dtype, 1.0)
    total *= np.float32(scale / len(channels))
    return total
