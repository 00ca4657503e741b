"""Read a clip's file as blocks of mono float32 at its own sample rate, with FFmpeg.

All containers are read by the same library, because two would disagree: where a FLAC's header
states 1 s and 600 s follow, libsndfile stops at 1 s and FFmpeg plays 600, as every player does.
Limits apply to what is decoded; only whether a clip of many channels at a high sample rate is
refused before that depends on its header.

FFmpeg supports over four hundred containers, some of which open other files, and two hundred audio
codecs. Which container a file is, is not left to it, and only the codecs that the table of formats
lists for that container are decoded.
"""

import contextlib
import functools
import io
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import av

from flamingo_common.audio import codecs, sniff
from flamingo_common.audio.formats import Format
from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import blocks
from flamingo_pod.audio.blocks import Block, BlockReader
from flamingo_pod.audio.containers import file_view, layouts, links, patches, pictures, tags_between
from flamingo_pod.audio.containers.file_view import FileView
from flamingo_pod.audio.damage.missing_audio import NO_REST, Rest

MAX_STREAMS = 64
"""Audio, video and subtitles; pictures are hidden from FFmpeg."""


@dataclass(slots=True)
class OpenClip:
    """A clip whose header has been read."""

    header_duration_s: float | None
    """Its duration according to its header, which may be wrong."""
    pcm_bytes_per_s: int
    """Size of a second of all channels, decoded, according to its header."""
    is_lossy: bool
    """Whether samples out of range are those of damaged packets."""
    _readers: Iterator[BlockReader]
    """One for each stream in the file, one after the other."""
    _rest: Rest = NO_REST

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of the whole file.

        Raises:
            InvalidAudio: nothing can be decoded.
        """
        for reader in self._readers:
            yield from reader.blocks()
            self._rest = reader.rest()

    def rest(self) -> Rest:
        """Return what the file states after its last sample; not sooner than then."""
        return self._rest


@dataclass(frozen=True, slots=True)
class OpenStream:
    """An audio stream that can be decoded, and the container that it is in."""

    view: FileView
    source: Any
    stream: Any


@contextlib.contextmanager
def open_clip(file: io.FileIO) -> Iterator[OpenClip]:
    """Open a clip and yield its first audio stream.

    Raises:
        InvalidAudio: unsupported container or codec, damaged, or without an audio stream.
    """
    found = sniff.sniff(functools.partial(file_view.read_at, file))
    if found.format is None:
        raise InvalidAudio(found.refusal)
    views = [
        _shown_view(file, found.format, part)
        for part in links.parts(file, found.format.key, found.start)
    ]
    with (
        _translate_errors(found.format),
        contextlib.closing(_streams(views, found.format)) as streams,
    ):
        first = next(streams)
        duration_s = _header_duration_s(first) if len(views) == 1 else None
        is_lossy = not first.stream.codec_context.name.startswith("pcm_")
        rest = _readers(first, streams, found.format)
        yield OpenClip(duration_s, _pcm_bytes_per_s(first.stream), is_lossy, rest)


def _shown_view(file: io.FileIO, kind: Format, part: range) -> FileView:
    read = functools.partial(file_view.read_at, file)
    finders = (pictures.patches, layouts.patches, tags_between.patches)
    found = [patch for find in finders for patch in find(kind.key, read, part)]
    return FileView(file, patches.pieces(part, found))


def _readers(
    first: OpenStream, others: Iterator[OpenStream], kind: Format
) -> Iterator[BlockReader]:
    for each in itertools.chain([first], others):
        yield BlockReader(each.view, kind, each.source, each.stream)


def _streams(views: Sequence[FileView], kind: Format) -> Generator[OpenStream]:
    """Yield the audio stream of each view; it is closed when the next one is asked for."""
    for view in views:
        with _open(view, kind) as source:
            yield OpenStream(view, source, _audio_stream(source, kind))


@contextlib.contextmanager
def _translate_errors(kind: Format) -> Iterator[None]:
    """Replace FFmpeg's messages, which may contain memory addresses (CVE-2026-22778)."""
    try:
        yield
    except (av.FFmpegError, UnicodeDecodeError):
        raise InvalidAudio(f"the {kind.name} audio is damaged or incomplete") from None


def _open(view: FileView, kind: Format) -> Any:
    return av.open(
        view,
        format=kind.demuxer,
        metadata_errors="replace",
        io_open=_refuse_to_open,
        container_options={
            # For FFmpeg's own look at the streams; `_audio_stream` checks again.
            "codec_whitelist": ",".join(kind.codecs),
            "format_whitelist": kind.demuxer,
            "max_streams": str(MAX_STREAMS),
        },
    )


def _refuse_to_open(*_: object) -> Any:
    """Open nothing: a clip is one file, whatever other files it refers to."""
    raise PermissionError("the clip refers to another file")


def _audio_stream(source: Any, kind: Format) -> Any:
    """Return the first audio stream, after checks; nothing of it has been decoded yet.

    PyAV chooses the decoder itself, whatever the option `codec_whitelist` is.
    """
    if not source.streams.audio:
        has_video = ", only video" if source.streams.video else ""
        raise InvalidAudio(f"the {kind.name} file has no audio stream{has_video}")
    stream = source.streams.audio[0]
    context = stream.codec_context
    decoder = "unknown" if context is None else context.codec.name
    if _codec_tag(context) in codecs.PROTECTED_TAGS:
        raise InvalidAudio(f"the {kind.name} file is protected by DRM, so it cannot be decoded")
    if problem := codecs.refusal(decoder, kind.name, kind.codecs):
        raise InvalidAudio(problem)
    context.thread_count = 1
    blocks.check_shape(stream.rate, stream.channels)
    return stream


def _codec_tag(context: Any) -> str:
    """Return the codec's name in the container; empty if it has none that is text."""
    try:
        return "" if context is None else context.codec_tag
    except UnicodeDecodeError:
        return ""


def _pcm_bytes_per_s(stream: Any) -> int:
    form = stream.codec_context.format
    return int(stream.rate * stream.channels * (form.bytes if form is not None else 0))


def _header_duration_s(opened: OpenStream) -> float | None:
    source, stream = opened.source, opened.stream
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if source.duration is None else source.duration / av.time_base
