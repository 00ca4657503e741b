"""A clip's file → blocks of mono float32 at its own rate. The one place that calls FFmpeg.

One reader for all containers: two would disagree. Where a FLAC's header says 1 s and
600 s follow, libsndfile stops at 1 s and FFmpeg plays 600, as every player does. A header
decides nothing here; what is decoded is counted.
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
"""ID3 tags before the audio; a file that was tagged by several programs has two."""
MAX_STREAMS = 32
FREE_FAULTS = 4
"""Packets that may be broken in any file: its end is cut, a tag stands after it."""
MAX_FAULTY = 0.05
"""The part of a file's packets that may be broken. Players skip them, too."""
INTEGER_SCALES = {np.dtype(np.int16): 2.0**-15, np.dtype(np.int32): 2.0**-31}
"""What makes full scale 1. FFmpeg has 24 bits in the upper ones of 32."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some of the clip, all channels made one."""

    rate_hz: int
    samples: Samples
    num_pcm_bytes: int
    """What it took as float32, before the channels were made one."""


@dataclass(frozen=True, slots=True)
class OpenClip:
    """A clip whose header was read."""

    header_duration_s: float | None
    """How long its header says it is, which may be anything."""
    blocks: Iterator[Block]


@contextlib.contextmanager
def open_clip(file: io.FileIO) -> Iterator[OpenClip]:
    """Open a clip and yield its first audio stream.

    Raises:
        InvalidAudio: not a readable container, damaged, or no audio in it.
    """
    container = _container(file)
    with _faults_told(container), _open(file, container) as source:
        if not source.streams.audio:
            raise InvalidAudio(f"the {container} file holds no audio stream")
        stream = source.streams.audio[0]
        if stream.codec_context is None:
            raise InvalidAudio(f"the {container} file holds audio in a codec that is not read here")
        stream.codec_context.thread_count = 1
        _check_shape(stream.rate, stream.channels)
        yield OpenClip(_told_s(source, stream), _blocks(source, stream))


def _container(file: io.FileIO) -> str:
    """Return what the file is; a container's magic may stand behind tags."""
    start, is_tagged = 0, False
    for _ in range(MAX_TAGS):
        file.seek(start)
        head = file.read(containers.HEAD_BYTES)
        if not (num_tag_bytes := containers.id3_bytes(head)):
            break
        start, is_tagged = start + num_tag_bytes, True
    # Padding often stands between an MP3's tag and its first frame.
    container = containers.sniff(head) or ("mp3" if is_tagged else None)
    file.seek(0)
    if container is None:
        raise InvalidAudio(
            f"the audio is in no format read here; readable are {containers.READABLE}"
        )
    return container


@contextlib.contextmanager
def _faults_told(container: str) -> Iterator[None]:
    """Tell FFmpeg's faults in our words: its own may name addresses (CVE-2026-22778)."""
    try:
        yield
    except (av.FFmpegError, UnicodeDecodeError):
        raise InvalidAudio(f"the {container} audio is damaged or cut short") from None


def _open(file: io.FileIO, container: str) -> Any:
    return av.open(
        file,
        format=container,
        metadata_errors="replace",
        io_open=_refuse,
        container_options={
            "codec_whitelist": containers.CODECS,
            "format_whitelist": container,
            "max_streams": str(MAX_STREAMS),
        },
    )


def _refuse(*_: object) -> Any:
    """Open nothing: a clip is one file, whatever it refers to."""
    raise PermissionError("a clip refers to another file")


def _told_s(source: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if source.duration is None else source.duration / av.time_base


def _check_shape(rate_hz: int, num_channels: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise InvalidAudio(
            f"the audio's sample rate is {rate_hz} Hz; allowed are {MIN_RATE_HZ} to {MAX_RATE_HZ}"
        )
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise InvalidAudio(
            f"the audio has {num_channels} channels; allowed are 1 to {MAX_CHANNELS}"
        )


def _blocks(source: Any, stream: Any) -> Iterator[Block]:
    """Yield what can be decoded; a few broken packets are passed over."""
    num_packets = num_faults = 0
    for packet in source.demux(stream):
        num_packets += 1
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            num_faults += 1
            if num_faults > FREE_FAULTS + MAX_FAULTY * num_packets:
                raise
            continue
        for frame in frames:
            # Of each frame: an Ogg may go on with another rate, or with more channels.
            _check_shape(frame.sample_rate, frame.layout.nb_channels)
            yield _block(frame)


def _block(frame: Any) -> Block:
    values = frame.to_ndarray()
    num_channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        values = values.reshape(-1, num_channels).T
    return Block(frame.sample_rate, _downmix(values), values.size * 4)


def _downmix(channels: NDArray[Any]) -> Samples:
    """Return the mean of the rows, full scale 1.

    Row by row: numpy's `mean` over an axis takes nine times as long.
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
