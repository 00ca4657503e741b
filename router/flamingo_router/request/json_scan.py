"""Finds the first audio in a JSON body, from the body's first bytes.

It is a state machine over strings, keys and nesting, not a search for `"data":"`, which a
prompt can quote. It stops at the first audio, whatever comes after it: OpenAI's older clients
send `model` and `stream` after it.

Accepted: base64, or a data URL, in `input_audio.data` and `audio.data`; a data URL in
`audio.url` and `audio_url.url`, and in `audio_url`, `audio` or `input` themselves; and the
`file_data` or `file_url` of a file. An id of a clip is found in `input_audio.id`, `audio.id`,
`file_id`, `audio_id`, `uuid` and `input`; the search for audio goes on behind it.

It reads no byte twice, so a body sent byte by byte costs no more than one in a single chunk
(ijson is quadratic there: 98 s for 105 MB).

Pure.
"""

import re
from dataclasses import dataclass

from flamingo_common.wire import clip_ids
from flamingo_router.request import audio_text
from flamingo_router.request.audio_text import AudioText
from flamingo_router.request.scan import HeadScan, Sample

MAX_DEPTH = 64
MAX_MARKS = 20_000
"""A body that consists of commas must not block the event loop: this many take about 20 ms."""
MAX_KEY_BYTES = 32
MAX_URL_BYTES = 8192
TAIL_BYTES = 64
"""What usually follows the audio: brackets, `model`."""
WRAPPED_KEYS = frozenset({b"data", b"url"})
WRAPPERS = frozenset({b"input_audio", b"audio", b"audio_url"})
BARE_KEYS = frozenset({b"audio_url", b"audio", b"input", b"file_data", b"file_url"})
"""Keys whose value is itself a URL, not an object with one."""
BASE64_KEYS = frozenset({b"data", b"file_data"})
"""Keys whose value can be base64 without a URL."""
BARE_ID_KEYS = frozenset({b"uuid", b"file_id", b"audio_id"})
"""Keys whose value can be the id of a clip, beside `id` in an object with a clip."""
_MARK = re.compile(rb'["{}\[\]:,]')
_REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


@dataclass(slots=True)
class _Level:
    """One open bracket."""

    is_object: bool
    awaits_key: bool
    key: bytes = b""
    index: int = 0
    """In an array: the number of the open item."""


class JsonScan(HeadScan):
    """The scan of a JSON body."""

    def __init__(self, total_bytes: int | None, *, is_input_text: bool = False) -> None:
        """`is_input_text`: a string in `input` is a question, even if it looks like a URL."""
        super().__init__(total_bytes)
        self._bare_keys = BARE_KEYS - {b"input"} if is_input_text else BARE_KEYS
        self.has_url = False
        self._string_at: int | None = None
        """Where the open string's text begins."""
        self._audio: AudioText | None = None
        """The open string's audio."""
        self._is_judged = False
        """Whether it is known if the open string has audio."""
        self._levels: list[_Level] = []
        self._num_marks = 0

    def _step(self) -> bool:
        """Parse a little more; return False when that needs more bytes."""
        return self._step_mark() if self._string_at is None else self._step_string(self._string_at)

    def _step_mark(self) -> bool:
        mark = _MARK.search(self._body, self._at)
        if mark is None:
            self._at = len(self._body)
            return False
        self._at = mark.end()
        self._apply_mark(mark[0])
        self._num_marks += 1
        self.is_done = self._num_marks > MAX_MARKS or len(self._levels) > MAX_DEPTH
        return True

    def _apply_mark(self, mark: bytes) -> None:
        if mark == b'"':
            self._string_at, self._audio, self._is_judged = self._at, None, False
        elif mark in b"{[":
            self._levels.append(_Level(is_object=mark == b"{", awaits_key=mark == b"{"))
        elif not self._levels:
            self.is_done = True  # not valid JSON; the pod will reject it
        elif mark in b"}]":
            self._levels.pop()
        else:
            level = self._levels[-1]
            level.awaits_key = level.is_object and mark == b","
            level.index += mark == b","

    def _step_string(self, start: int) -> bool:
        rest = _REST_OF_STRING.match(self._body, self._at)
        self._at = rest.end() if rest else self._at
        is_closed = self._body[self._at : self._at + 1] == b'"'
        if not self._is_judged:
            if not is_closed and self._at - start < audio_text.PREFIX_BYTES:
                return False
            self._audio, self._is_judged = self._audio_in(start), True
            if self._audio is not None or self.has_url:
                self.field = self._field_of_part()
        if self.has_url:
            return self._step_url(start, is_closed=is_closed)
        audio = self._audio
        if audio is not None and (is_closed or self._at - audio.start >= audio.max_bytes):
            self.sample = self._sample_of(audio)
            self.is_done = True
        if is_closed:
            self._close_string(start)
        return is_closed

    def _step_url(self, start: int, *, is_closed: bool) -> bool:
        self.is_done = is_closed or self._at - start > MAX_URL_BYTES
        if is_closed and self._at - start <= MAX_URL_BYTES:
            text = audio_text.unescape(bytes(self._body[start : self._at]))
            self.url = text.decode("utf-8", "replace")
        return False

    def _close_string(self, start: int) -> None:
        level = self._levels[-1] if self._levels else None
        if level and not level.awaits_key and self.clip_id is None:
            self.clip_id = self._clip_id_in(start)
            if self.clip_id is not None:
                self.field = self._field_of_part()
        if level and level.awaits_key:
            level.key = bytes(self._body[start : min(self._at, start + MAX_KEY_BYTES)])
        self._string_at = None
        self._at += 1

    def _clip_id_in(self, start: int) -> str | None:
        if self._at - start > MAX_KEY_BYTES * 2:
            return None
        key, parent = self._current_keys()
        is_id = (key == b"id" and parent in WRAPPERS) or key in BARE_ID_KEYS
        is_id = is_id or (key == b"input" and key in self._bare_keys)
        text = bytes(self._body[start : self._at]).decode("latin-1")
        return text if is_id and clip_ids.is_clip_id(text) else None

    def _audio_in(self, start: int) -> AudioText | None:
        """Return the audio of the open string; None when it has none."""
        key, parent = self._current_keys()
        is_wrapped = key in WRAPPED_KEYS and parent in WRAPPERS
        if not is_wrapped and key not in self._bare_keys:
            return None
        prefix = audio_text.read_prefix(self._body, start, self._at)
        if (audio := prefix.data_url()) is not None:
            return audio
        self.has_url = prefix.is_web_url
        is_base64 = key in BASE64_KEYS and not self.has_url
        return AudioText(start, is_base64=True) if is_base64 else None

    def _current_keys(self) -> tuple[bytes, bytes]:
        """Return the key of the open string, and the key of the object around it; b"" for none."""
        if not self._levels or self._levels[-1].awaits_key:
            return b"", b""
        above = self._levels[-2] if len(self._levels) > 1 else None
        if not self._levels[-1].is_object:  # ["data:…"] under `input`
            return (above.key if above else b""), b""
        return self._levels[-1].key, (above.key if above else b"")

    def _field_of_part(self) -> str:
        """Return the path of the audio part around the open string, or of the body's field.

        `messages[0].content[1].input_audio.data` is in the part `messages[0].content[1]`.
        """
        steps = [
            f".{level.key.decode('utf-8', 'replace')}" if level.is_object else f"[{level.index}]"
            for level in self._levels
        ]
        arrays = [number for number, level in enumerate(self._levels) if not level.is_object]
        return "".join(steps[: arrays[-1] + 1 if arrays else 1]).removeprefix(".")

    def _sample_of(self, audio: AudioText) -> Sample:
        """Return the audio whose text has arrived up to `_at`.

        A text longer than the sample counts as not closed even where its end has arrived,
        so that the result does not depend on how the body was split into chunks.
        """
        text = bytes(self._body[audio.start : min(self._at, audio.start + audio.max_bytes)])
        data = audio.decode(text)
        if len(text) < audio.max_bytes:
            return Sample(data, len(data) or len(text) * 3 // 4)
        if self._total_bytes is None:
            return Sample(data, None)
        num_bytes = max(self._total_bytes - audio.start - TAIL_BYTES, len(text))
        if audio.is_base64:
            return Sample(data, num_bytes * 3 // 4)
        return Sample(data, num_bytes * len(data) // len(text))
