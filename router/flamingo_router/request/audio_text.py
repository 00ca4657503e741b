"""A JSON string that has audio: base64 or a `data:` URL, with JSON's escapes.

The string is read where it stands in the body, so that positions in it are those of the body.

Pure.
"""

import binascii
import json
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from flamingo_common.wire import data_url
from flamingo_router.request.scan import SAMPLE_BYTES

PREFIX_BYTES = 2 * data_url.MAX_HEADER_CHARS
"""What is read of a string to see whether it is a URL, with room for escapes."""
_CHARACTER = re.compile(rb'\\u[0-9a-fA-F]{4}|\\.|[^"\\]', re.DOTALL)
_WEB_URL = re.compile(r"\s*https?:/", re.IGNORECASE)
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_CUT_PERCENT = re.compile(rb"%[0-9a-fA-F]?\Z")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class AudioText:
    """Where a string's audio begins, and how it is encoded."""

    start: int
    is_base64: bool
    """Otherwise it is percent-encoded."""

    @property
    def max_bytes(self) -> int:
        """How much of the text is read for a sample."""
        return SAMPLE_BYTES // 3 * 4 if self.is_base64 else SAMPLE_BYTES * 3

    def decode(self, text: bytes) -> bytes:
        """Return the bytes of this text, which may end anywhere; b"" if it is not valid."""
        try:
            plain = unescape(text)
            if self.is_base64:
                return _decode_base64(plain)
        except ValueError:  # the pod will reject it
            return b""
        return unquote_to_bytes(_CUT_PERCENT.sub(b"", plain))


@dataclass(frozen=True, slots=True)
class StringPrefix:
    """The beginning of a JSON string, without its escapes."""

    text: str
    offsets: list[int]
    """Where each character begins in the body, and where the one after the last would."""

    @property
    def is_web_url(self) -> bool:
        """Whether the string is an `http(s)` URL."""
        return _WEB_URL.match(self.text) is not None

    def data_url(self) -> AudioText | None:
        """Return the data of a `data:` URL; None if the string is not one."""
        header = data_url.parse_header(self.text)
        return AudioText(self.offsets[header.data_at], header.is_base64) if header else None


def read_prefix(body: bytes | bytearray, start: int, end: int) -> StringPrefix:
    """Return the beginning of the string whose text is in `body` from `start`, to `end` so far."""
    characters, offsets = [], [start]
    for found in _CHARACTER.finditer(body, start, min(end, start + PREFIX_BYTES)):
        characters.append(_character(found[0]))
        offsets.append(found.end())
    return StringPrefix("".join(characters), offsets)


def _character(raw: bytes) -> str:
    if raw.startswith(b"\\u"):
        return chr(int(raw.removeprefix(b"\\u"), base=16))
    if raw.startswith(b"\\"):
        return {b"n": "\n", b"r": "\r", b"t": "\t"}.get(raw[1:], raw[1:].decode("latin-1"))
    return raw.decode("latin-1")


def unescape(text: bytes) -> bytes:
    r"""Return `text` without JSON's escapes: PHP writes `\/` for `/`, .NET `\u002B` for `+`.

    Raises:
        ValueError: an escape is not valid.
    """
    if b"\\" not in text:
        return text
    return str(json.loads(b'"' + _CUT_ESCAPE.sub(b"", text) + b'"', strict=False)).encode()


def _decode_base64(text: bytes) -> bytes:
    """Return the bytes of base64 `text`, of either alphabet, padded or not."""
    if b"%" in text:
        text = unquote_to_bytes(_CUT_PERCENT.sub(b"", text))
    plain = text.translate(_TO_STANDARD, b" \t\r\n=")
    if len(plain) % 4 == 1:  # an escape was truncated
        plain = plain[:-1]
    return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))
