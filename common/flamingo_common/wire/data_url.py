"""`data:` URLs (RFC 2397): where their data begins, and how it is encoded.

The scheme and `base64` may be in any case, a parameter may be a quoted string with commas in it
(`codecs="opus,vorbis"`), and data without `;base64` is percent-encoded.

Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

MAX_HEADER_CHARS = 1024
"""What comes before the data: a media type with a few parameters."""
EXPECTED = "it must look like data:audio/wav;base64,UklGR…"
_START = re.compile(r"\s*data:", re.IGNORECASE)
_HEADER = re.compile(r'\s*data:((?:[^",]|"(?:[^"\\]|\\.)*+")*+),', re.IGNORECASE | re.DOTALL)
_UNQUOTED_HEADER = re.compile(r"\s*data:([^,]*),", re.IGNORECASE)
_BASE64 = re.compile(r";\s*base64\s*\Z", re.IGNORECASE)
_CUT_ESCAPE = re.compile(r"%[0-9a-fA-F]?\Z")


@dataclass(frozen=True, slots=True)
class DataUrlHeader:
    """What comes before a URL's data."""

    data_at: int
    """Where the data begins."""
    is_base64: bool
    """Otherwise it is percent-encoded."""


def is_data_url(text: str) -> bool:
    """Return whether `text` is a `data:` URL, valid or not."""
    return _START.match(text, 0, MAX_HEADER_CHARS) is not None


def parse_header(text: str) -> DataUrlHeader | None:
    """Return the header of a `data:` URL; None if `text` has no valid one.

    Only the first `MAX_HEADER_CHARS` characters are read.
    """
    found = _HEADER.match(text, 0, MAX_HEADER_CHARS)
    # A quotation mark that is not closed is part of a value.
    found = found or _UNQUOTED_HEADER.match(text, 0, MAX_HEADER_CHARS)
    if found is None:
        return None
    return DataUrlHeader(found.end(), _BASE64.search(found[1]) is not None)


def unquote_chunks(text: str, start: int, num_chars: int) -> Iterator[bytes]:
    """Yield percent-encoded data from `start` as bytes, for `num_chars` (≥ 3) characters at a time.

    A percent sign without two digits is kept, and a fragment is not part of the data.
    """
    end = text.find("#", start)
    end = len(text) if end < 0 else end
    at = start
    while at < end:
        chunk = text[at : min(at + num_chars, end)]
        cut = _CUT_ESCAPE.search(chunk) if at + len(chunk) < end else None
        if cut is not None and cut.start():
            chunk = chunk[: cut.start()]
        yield unquote_to_bytes(chunk)
        at += len(chunk)
