"""The first bytes of a JSON body → the start of the audio in it.

A state machine over strings, keys and nesting, not a search for `"data":"`, which
a prompt may quote. It stops at the first audio, whatever comes after: OpenAI's
older clients write `model` and `stream` behind it.

Accepted: base64, or a data URL, in `input_audio.data` and `audio.data`; a data URL in
`audio.url` and `audio_url.url`, and in `audio_url`, `audio` or `input` themselves.

It never looks at a byte twice, so a body sent byte by byte costs no more than one
sent at once (ijson is quadratic there: 98 s for 105 MB).

Pure.
"""

import binascii
import json
import re
from dataclasses import dataclass

from flamingo_router.request.scan import SAMPLE_BYTES, HeadScan, Sample

MAX_TEXT_BYTES = SAMPLE_BYTES // 3 * 4
MAX_DEPTH = 64
MAX_MARKS = 20_000
"""A body of commas only must not hold the event loop: this many take some 20 ms."""
MAX_KEY_BYTES = 32
PREFIX_BYTES = 256
"""By then a data URL has come to its comma."""
MAX_URL_BYTES = 8192
TAIL_BYTES = 64
"""What usually stands behind the audio: brackets, `model`."""
WRAPPED_KEYS = frozenset({b"data", b"url"})
WRAPPERS = frozenset({b"input_audio", b"audio", b"audio_url"})
BARE_KEYS = frozenset({b"audio_url", b"audio", b"input"})
"""Whose text is a URL itself, not an object that holds one."""
_MARK = re.compile(rb'["{}\[\]:,]')
_REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_DATA_URL = re.compile(rb'data:(?:[^",\\]|\\/){0,250},')
_WEB_URL = re.compile(rb"https?:\\?/")
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


@dataclass(slots=True)
class Level:
    """One open bracket."""

    is_object: bool
    awaits_key: bool
    key: bytes = b""


class JsonScan(HeadScan):
    """See the module."""

    def __init__(self, total_bytes: int | None) -> None:
        super().__init__(total_bytes)
        self.has_url = False
        self._string_at: int | None = None
        """Where the open string's text begins."""
        self._levels: list[Level] = []
        self._num_marks = 0

    def _step(self) -> bool:
        """Understand a little more; False when that needs more bytes."""
        return self._outside() if self._string_at is None else self._inside(self._string_at)

    def _outside(self) -> bool:
        mark = _MARK.search(self._body, self._at)
        if mark is None:
            self._at = len(self._body)
            return False
        self._at = mark.end()
        self._enter(mark[0])
        self._num_marks += 1
        self.is_done = self._num_marks > MAX_MARKS or len(self._levels) > MAX_DEPTH
        return True

    def _enter(self, mark: bytes) -> None:
        if mark == b'"':
            self._string_at = self._at
        elif mark in b"{[":
            self._levels.append(Level(is_object=mark == b"{", awaits_key=mark == b"{"))
        elif not self._levels:
            self.is_done = True  # no JSON; the pod will say so
        elif mark in b"}]":
            self._levels.pop()
        else:
            level = self._levels[-1]
            level.awaits_key = level.is_object and mark == b","

    def _inside(self, start: int) -> bool:
        rest = _REST_OF_STRING.match(self._body, self._at)
        self._at = rest.end() if rest else self._at
        is_closed = self._body[self._at : self._at + 1] == b'"'
        if not is_closed and self._at - start < PREFIX_BYTES:
            return False
        audio_at = self._audio_at(start)
        if self.has_url:
            return self._in_url(start, is_closed=is_closed)
        if audio_at is not None and (is_closed or self._at - audio_at >= MAX_TEXT_BYTES):
            self.sample = self._sample(audio_at)
            self.is_done = True
        if is_closed:
            self._close(start)
        return is_closed

    def _in_url(self, start: int, *, is_closed: bool) -> bool:
        self.is_done = is_closed or self._at - start > MAX_URL_BYTES
        if is_closed and self._at - start <= MAX_URL_BYTES:
            self.url = _unescaped(bytes(self._body[start : self._at])).decode("utf-8", "replace")
        return False

    def _close(self, start: int) -> None:
        level = self._levels[-1] if self._levels else None
        if level and level.awaits_key:
            level.key = bytes(self._body[start : min(self._at, start + MAX_KEY_BYTES)])
        self._string_at = None
        self._at += 1

    def _audio_at(self, start: int) -> int | None:
        """Return where the base64 of the open string begins; None when it is no audio."""
        key, parent = self._names()
        is_wrapped = key in WRAPPED_KEYS and parent in WRAPPERS
        if not is_wrapped and key not in BARE_KEYS:
            return None
        data_url = _DATA_URL.match(self._body, start)
        if data_url:
            return data_url.end()
        self.has_url = _WEB_URL.match(self._body, start) is not None
        return start if key == b"data" and not self.has_url else None

    def _names(self) -> tuple[bytes, bytes]:
        """Return the key whose value the open string is, and the key above; b"" for none."""
        if not self._levels or self._levels[-1].awaits_key:
            return b"", b""
        above = self._levels[-2] if len(self._levels) > 1 else None
        if not self._levels[-1].is_object:  # ["data:…"] under `input`
            return (above.key if above else b""), b""
        return self._levels[-1].key, (above.key if above else b"")

    def _sample(self, start: int) -> Sample:
        """Return the audio whose base64 begins at `start` and is known up to `_at`.

        A text longer than the sample counts as not closed even where its end is at
        hand, so that the answer does not depend on how the body was cut in chunks.
        """
        text = bytes(self._body[start : min(self._at, start + MAX_TEXT_BYTES)])
        if len(text) < MAX_TEXT_BYTES:
            num_chars = len(text) - text.count(b"=", -2)
            return Sample(_decoded(text), num_chars * 3 // 4)
        if self._total_bytes is None:
            return Sample(_decoded(text), None)
        num_chars = max(self._total_bytes - start - TAIL_BYTES, len(text))
        return Sample(_decoded(text), num_chars * 3 // 4)


def _decoded(text: bytes) -> bytes:
    """Return the bytes that base64 `text` (either alphabet, padded or not) says; b"" if none."""
    try:
        plain = _unescaped(text).translate(_TO_STANDARD, b" \t\r\n=")
        if len(plain) % 4 == 1:  # an escape was cut
            plain = plain[:-1]
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))
    except ValueError:  # the pod will say what is wrong with it
        return b""


def _unescaped(text: bytes) -> bytes:
    r"""Return `text` without JSON's escapes: PHP writes `\/` for `/`, .NET `\u002B` for `+`."""
    if b"\\" not in text:
        return text
    return str(json.loads(b'"' + _CUT_ESCAPE.sub(b"", text) + b'"', strict=False)).encode()
