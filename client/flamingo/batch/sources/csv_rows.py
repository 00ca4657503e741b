"""Rows of CSV: UTF-8, a header, and commas, tabs or semicolons."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from flamingo.batch.sources import lines
from flamingo.batch.sources.rows import BadRow, Row

DELIMITERS = (",", "\t", ";")


class CsvTable:
    """A CSV file; `columns` are those of its header."""

    def __init__(self, file: BinaryIO) -> None:
        self._problems: list[BadRow] = []
        texts = self._texts(file)
        header = next(texts, "")
        self._reader = csv.reader(texts, delimiter=delimiter(header), strict=True)
        self.columns = next(csv.reader([header], delimiter=delimiter(header)), [])

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows in order; numbers are those of lines."""
        while True:
            first_line = self._reader.line_num + 2
            try:
                fields = next(self._reader, None)
            except csv.Error as error:
                yield BadRow(first_line, f"not valid CSV: {error}")
                continue
            yield from self._problems
            self._problems.clear()
            if fields is None:
                return
            if fields:
                yield self._row(first_line, fields)

    def _row(self, number: int, fields: list[str]) -> Row | BadRow:
        if len(fields) != len(self.columns):
            return BadRow(
                number, f"{len(fields)} fields; the header has {len(self.columns)} columns"
            )
        return Row(number, dict(zip(self.columns, fields, strict=True)))

    def _texts(self, file: BinaryIO) -> Iterator[str]:
        for number, line in lines.read_lines(file):
            try:
                text = None if line is None else line.decode()
            except UnicodeDecodeError:
                self._problems.append(BadRow(number, lines.NOT_UTF8))
                text = ""
            if text is None:
                self._problems.append(BadRow(number, lines.TOO_LONG))
            yield text or "\n"  # an empty line keeps the count


def delimiter(header: str) -> str:
    """Return what separates the columns of a header: the most frequent of the usual ones."""
    return max(DELIMITERS, key=header.count)
