"""Finds the first file in a multipart body, from the body's first bytes.

The first part with a file name is the audio, whatever the field is called. The id of a clip is in
a part `audio_id`, or in the JSON of the part `request`.

Pure.
"""

import re

from flamingo_common.wire import clip_ids
from flamingo_router.request.json_scan import JsonScan
from flamingo_router.request.scan import SAMPLE_BYTES, HeadScan, Sample

MAX_PART_HEADER_BYTES = 8192
MAX_PARTS = 256
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
_FILE_NAME = re.compile(
    rb"^content-disposition:[^\r\n]*\bfilename\*?=", re.IGNORECASE | re.MULTILINE
)


def parse_boundary(content_type: str) -> str | None:
    """Return the boundary of a multipart Content-Type; None if it has none."""
    found = _BOUNDARY.search(content_type)
    return (found[1] or found[2]) if found else None


_FIELD_NAME = re.compile(
    rb'^content-disposition:[^\r\n]*\bname="(audio_id|request)"', re.IGNORECASE | re.MULTILINE
)


class FormScan(HeadScan):
    """The scan of a multipart body; a form has no audio by URL."""

    has_url = False

    def __init__(self, boundary: str, total_bytes: int | None) -> None:
        super().__init__(total_bytes)
        self._delimiter = b"--" + boundary.encode("latin-1", "replace")
        self._searched = 0
        """Everything before contains no delimiter."""
        self._is_in_headers = False
        self._file_at: int | None = None
        self._field: tuple[bytes, int] | None = None
        """The name of the open part, and where its contents begin, if it can have an id."""
        self._num_parts = 0

    def _step(self) -> bool:
        """Parse a little more; return False when that needs more bytes."""
        if self._file_at is not None:
            return self._step_file(self._file_at)
        return self._step_headers() if self._is_in_headers else self._step_delimiter()

    def _step_delimiter(self) -> bool:
        found = self._find(self._delimiter)
        if found < 0:
            return False
        if self._field is not None and self.clip_id is None:
            name, start = self._field
            contents = bytes(self._body[start : found - len(b"\r\n")])
            self.clip_id, self.field = _clip_id_in(name, contents)
        self._at = self._searched = found + len(self._delimiter)
        self._is_in_headers = True
        self._num_parts += 1
        self.is_done = self._num_parts > MAX_PARTS
        return True

    def _step_headers(self) -> bool:
        end = self._find(b"\r\n\r\n")
        if end < 0:
            self.is_done = len(self._body) - self._at > MAX_PART_HEADER_BYTES
            return False
        headers = self._body[self._at : end]
        self._at = self._searched = end + 4
        self._is_in_headers = False
        field = _FIELD_NAME.search(headers)
        self._field = (field[1].lower(), self._at) if field else None
        if _FILE_NAME.search(headers):
            self._file_at = self._at
        return True

    def _step_file(self, start: int) -> bool:
        end = self._find(b"\r\n" + self._delimiter)
        # An end past the sample is ignored, so that the result does not depend on how the
        # body was split into chunks.
        is_short = 0 <= end <= start + SAMPLE_BYTES
        if not is_short and len(self._body) - start < SAMPLE_BYTES + len(self._delimiter) + 2:
            return False
        stop = end if is_short else start + SAMPLE_BYTES
        size = end - start if is_short else self._file_bytes(start)
        self.sample, self.field = Sample(bytes(self._body[start:stop]), size), "file"
        self.is_done = True
        return True

    def _file_bytes(self, start: int) -> int | None:
        """Return the file's size, if only the closing delimiter comes after it."""
        if self._total_bytes is None:
            return None
        return max(self._total_bytes - start - len(self._delimiter) - 6, SAMPLE_BYTES)

    def _find(self, what: bytes) -> int:
        """Return the offset of `what`, reading no byte twice; -1 if it has not arrived yet."""
        found = self._body.find(what, max(self._at, self._searched - len(what)))
        self._searched = len(self._body)
        return found


def _clip_id_in(name: bytes, contents: bytes) -> tuple[str | None, str]:
    """Return the id of a clip in a part of this name, and its field; None without an id."""
    if name == b"audio_id":
        text = contents.decode("latin-1")
        return (text, name.decode()) if clip_ids.is_clip_id(text) else (None, "")
    scan = JsonScan(len(contents))
    scan.feed(contents)
    return (scan.clip_id, scan.field) if scan.is_by_id else (None, "")
