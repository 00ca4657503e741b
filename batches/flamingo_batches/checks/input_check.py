"""Checks a whole input file, line by line, and orders its lines.

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flamingo_batches import ids
from flamingo_batches.checks import line_check
from flamingo_batches.checks.clips import ClipReference
from flamingo_batches.checks.line_check import CheckedLine
from flamingo_batches.records import PlannedLine, StoredFile
from flamingo_common.wire.batches import BatchFault

MAX_FAULTS = 1000
"""In a batch's `errors`; one more says how many there are beyond them."""


@dataclass(slots=True)
class CheckedInput:
    """What the lines of a file came to."""

    endpoint: str
    max_lines: int
    clip_sources: Sequence[str]
    num_lines: int = 0
    faults: list[BatchFault] = field(default_factory=list)
    num_faults: int = 0
    places: list[tuple[bytes, PlannedLine]] = field(default_factory=list)
    """The clip of each valid line, and where the line is."""
    references: list[tuple[int, ClipReference]] = field(default_factory=list)
    """The files that the lines refer to, with the number of the line."""
    _first_use: dict[str, int] = field(default_factory=dict)

    def add(self, text: bytes, number: int, start: int) -> None:
        """Check one line, which begins at the byte `start`."""
        self.num_lines += 1
        if self.num_lines > self.max_lines:
            return
        found = line_check.check(text, number, self.endpoint)
        if isinstance(found, CheckedLine):
            self._add_valid(found, PlannedLine(0, number, start, len(text)))
        else:
            for fault in found:
                self.add_fault(fault)

    def add_fault(self, fault: BatchFault) -> None:
        """Record a fault."""
        self.num_faults += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)

    def _add_valid(self, found: CheckedLine, line: PlannedLine) -> None:
        first = self._first_use.setdefault(found.custom_id, line.number)
        if first != line.number:
            message = f"custom_id: is that of line {first}; each must be unique"
            self._refuse("duplicate_custom_id", line.number, message, "custom_id")
        for reference in found.references:
            if reference.file_id:
                self.references.append((line.number, reference))
            elif not reference.url.startswith(tuple(self.clip_sources)) or not self.clip_sources:
                allowed = ", ".join(self.clip_sources) or "none"
                message = (
                    f"body.{reference.place}: {reference.url[:200]} is in no bucket that lines may"
                    f" read clips from ({allowed})"
                )
                self._refuse("clip_not_allowed", line.number, message, f"body.{reference.place}")
        self.places.append((found.clip_key, line))

    def check_files(self, owned: Mapping[str, StoredFile]) -> None:
        """Check the files that lines refer to against those that the batch's owner has."""
        for number, reference in self.references:
            file, place = owned.get(reference.file_id), f"body.{reference.place}"
            if file is None:
                message = f"{place}: {ids.missing('file', reference.file_id)}"
                self._refuse("clip_not_found", number, message, place)
            elif file.purpose != "user_data":
                message = f"{place}: {file.id} has the purpose {file.purpose!r}, not 'user_data'"
                self._refuse("clip_not_allowed", number, message, place)

    def finish(self) -> None:
        """Add what only the whole file shows: that it has no lines, or too many."""
        if self.num_lines == 0:
            self.add_fault(BatchFault(code="empty_file", message="the input file has no lines"))
        if self.num_lines > self.max_lines:
            message = (
                f"the input file has {self.num_lines} lines; at most {self.max_lines} are allowed"
            )
            self.add_fault(BatchFault(code="too_many_lines", message=message))
        self.faults.sort(key=lambda fault: fault.line or 0)
        if (num_more := self.num_faults - len(self.faults)) > 0:
            message = f"{num_more} more faults are not listed"
            self.faults.append(BatchFault(code="more_faults", message=message))

    def _refuse(self, code: str, number: int, message: str, param: str) -> None:
        self.add_fault(BatchFault(code=code, line=number, message=message, param=param))


def planned(places: Iterable[tuple[bytes, PlannedLine]]) -> list[PlannedLine]:
    """Return the lines in the order of sending: those of one clip after its first one."""
    groups: dict[tuple[bytes, int], list[PlannedLine]] = {}
    for key, line in places:
        groups.setdefault((key, 0 if key else line.number), []).append(line)
    ordered = (line for group in groups.values() for line in group)
    return [
        PlannedLine(position, line.number, line.start, line.num_bytes)
        for position, line in enumerate(ordered)
    ]


def file_ids(checked: CheckedInput) -> Iterator[str]:
    """Yield each file that lines refer to once."""
    yield from dict.fromkeys(reference.file_id for _, reference in checked.references)
