"""Lines of a file, each of bounded length."""

from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE_BYTES = 2**20
"""A line is a description of a clip; one that is longer is more likely not a line at all."""
TOO_LONG = f"the line is longer than {MAX_LINE_BYTES:,} bytes"
NOT_UTF8 = "the line is not valid UTF-8; convert the file: iconv -t UTF-8"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number of each line, from 1, and the line, or None if it is too long."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if len(line) > MAX_LINE_BYTES:
            _skip_line(file, line)
            yield number, None
        else:
            yield number, line


def _skip_line(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(MAX_LINE_BYTES)
