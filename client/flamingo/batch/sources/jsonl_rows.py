"""Rows of JSON Lines: one object a line."""

import json
from collections.abc import Iterator
from typing import BinaryIO

from flamingo.batch.sources import lines
from flamingo.batch.sources.rows import BadRow, Row


def read_rows(file: BinaryIO) -> Iterator[Row | BadRow]:
    """Yield the rows in order; empty lines are skipped."""
    for number, line in lines.read_lines(file):
        if line is None:
            yield BadRow(number, lines.TOO_LONG)
        elif line.strip():
            yield _row(number, line)


def _row(number: int, line: bytes) -> Row | BadRow:
    try:
        values = json.loads(line)
    except UnicodeDecodeError:
        return BadRow(number, lines.NOT_UTF8)
    except (ValueError, RecursionError) as error:
        return BadRow(number, f"not JSON: {error}")
    if not isinstance(values, dict):
        return BadRow(number, f"expected a JSON object, not {type(values).__name__}")
    return Row(number, values)
