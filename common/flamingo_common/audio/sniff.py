"""What kind of file something is, by its contents: an accepted format, or what it is instead.

Router and pod both ask this, so that they agree. File names and media types are ignored.

Pure.
"""

import re
from dataclasses import dataclass
from itertools import islice
from unicodedata import category

from flamingo_common.audio import formats, mpeg, tags
from flamingo_common.audio.formats import Format, Matcher
from flamingo_common.audio.tags import Read

UNKNOWN = "a file of an unknown format"
HTML = re.compile(rb"\s*(<!doctype html|<html|<head|<body)", re.IGNORECASE)
PLAIN_TEXT = re.compile(r"[^\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]+")
CERTAIN = re.compile(
    rb"RIFF....WAVE|RF64....WAVE|BW64....WAVE|FORM....AIF[FC]|fLaC\x00\x00\x00\x22|OggS\x00\x02"
    rb"|\x00\x00\x00.ftyp|\x1a\x45\xdf\xa3.{4,40}(?:webm|matroska)|\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    re.DOTALL,
)
"""Signatures that are long enough to be searched for."""
MIN_WIDE_BYTES = 8
UNASSIGNED = frozenset({"Cn", "Co"})
"""Categories of characters that no text has, but other bytes read as UTF-16 soon do."""
MAX_SIGNATURES = 16
TEXT_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file is."""

    format: Format | None
    """None: it is not accepted."""
    start: int
    """The offset of the audio, after tags and other bytes."""
    name: str
    """What it is; with an article if it is not accepted."""

    @property
    def refusal(self) -> str:
        """The message of the error, if it is not accepted."""
        return (
            f"unsupported audio format: this is {self.name}; supported formats:"
            f" {formats.SUPPORTED_FORMATS}"
        )


def sniff_bytes(head: bytes) -> Sniffed:
    """Return what the file is that begins with `head`."""
    return sniff(lambda at, size: head[at : at + size])


def sniff(read: Read) -> Sniffed:
    """Return what the file is whose bytes `read` returns."""
    start = tags.audio_offset(read)
    content = tags.blank_end(read, start)
    # The size of an MP4's first box begins with up to three zeros.
    for at in dict.fromkeys((start, *range(content, max(content - 4, start), -1))):
        if found := _by_header(read(at, formats.SNIFF_BYTES), at):
            return found
    if encoding := _utf16(read(start, formats.SNIFF_BYTES)):
        return Sniffed(None, start, f"text in {encoding}")
    return (
        _by_signature(read, start, _is_text)
        or _by_frames(read, start, content)
        or (_in_wrong_tag(read) if start else None)
        or Sniffed(None, start, _other_name(read, start))
    )


def _in_wrong_tag(read: Read) -> Sniffed | None:
    """Return a file that begins before, or long after, the end that its tag states."""
    return _by_signature(read, 0, lambda _: True) or _by_frames(read, 0)


def _by_signature(read: Read, start: int, may_precede: Matcher) -> Sniffed | None:
    """Return a file after other bytes, such as the headers of a download, or a blank line."""
    head = read(start, mpeg.SEARCH_BYTES)
    for found in islice(CERTAIN.finditer(head), MAX_SIGNATURES):
        at = start + found.start()
        if may_precede(head[: found.start()]):
            return _by_header(read(at, formats.SNIFF_BYTES), at)
    return None


def _by_header(head: bytes, at: int) -> Sniffed | None:
    for name, matches in formats.NOT_ACCEPTED:
        if matches(head):
            return Sniffed(None, at, name)
    for each in formats.FORMATS:
        if each.matches is not None and each.matches(head):
            return _accepted(each, at)
    return None


def _by_frames(read: Read, *starts: int) -> Sniffed | None:
    """Return an MPEG file whose frames begin soon after one of these offsets."""
    for at in dict.fromkeys(starts):
        if frames := mpeg.find_frames(read(at, mpeg.SAMPLE_BYTES)):
            return _accepted(formats.BY_KEY[frames[0]], at + frames[1])
    return None


def _accepted(found: Format, at: int) -> Sniffed:
    return Sniffed(found, at, found.name)


def _other_name(read: Read, start: int) -> str:
    head = read(start, formats.SNIFF_BYTES)
    if not head:
        return "an ID3 or APE tag whose size is not less than the file's" if start else "empty"
    if not head.strip(b"\0"):
        return "nothing but zeros"
    if HTML.match(head):
        return "an HTML page"
    return "text" if _is_text(head) else UNKNOWN


def _utf16(head: bytes) -> str | None:
    """Return the encoding of text in UTF-16, with a mark or of mostly Latin letters.

    Its bytes look like frames: a mark begins as an MP3 does, and so do letters of some scripts.
    """
    if head[:2] in TEXT_ENCODINGS:
        return "UTF-16" if _is_wide_text(head, TEXT_ENCODINGS[head[:2]]) else None
    for encoding, high in (("utf-16-le", 1), ("utf-16-be", 0)):
        num_zeros = head[high::2].count(0)
        if num_zeros * 4 >= len(head) > MIN_WIDE_BYTES and _is_wide_text(head, encoding):
            return "UTF-16"
    return None


def _is_wide_text(head: bytes, encoding: str) -> bool:
    try:
        text = head[: len(head) & ~1].decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # half of a pair may be cut off
            return False
        text = head[: error.start].decode(encoding)
    return PLAIN_TEXT.fullmatch(text) is not None and UNASSIGNED.isdisjoint(map(category, text))


def _is_text(head: bytes) -> bool:
    encoding = TEXT_ENCODINGS.get(head[:2], "utf-8")
    text = head.decode(encoding, "ignore")
    is_complete = len(text.encode(encoding)) + 4 >= len(head)
    return is_complete and PLAIN_TEXT.fullmatch(text) is not None
