"""Names of the files of an output in parts.

`part-00002-000017.parquet` is the 18th part of shard 2. While it is not complete, what belongs to
it is in `.flamingo/journal/part-00002-000017/`.

Pure.
"""

import re
from dataclasses import dataclass

HIDDEN = ".flamingo"
"""What a batch keeps for itself: the journal and the state."""
_PART = re.compile(r"^part-(?P<shard>\d{5})-(?P<number>\d{6})(?P<suffix>\.[a-z.]+)$")
_ENTRY = re.compile(
    rf"^{re.escape(HIDDEN)}/journal/part-(?P<shard>\d{{5}})-(?P<number>\d{{6}})/(?P<entry>\d{{6}})$"
)


@dataclass(frozen=True, order=True, slots=True)
class Part:
    """One part of one shard."""

    shard: int
    number: int

    @property
    def stem(self) -> str:
        """Its name without a suffix."""
        return f"part-{self.shard:05d}-{self.number:06d}"

    def entry(self, number: int) -> str:
        """Return the name of an entry of its journal."""
        return f"{HIDDEN}/journal/{self.stem}/{number:06d}"

    def next(self) -> "Part":
        """Return the part after this one."""
        return Part(self.shard, self.number + 1)


def parse_part(name: str, suffix: str) -> Part | None:
    """Return the part that a file is, or None if it is none or has another suffix."""
    match = _PART.match(name)
    if match is None or match["suffix"] != suffix:
        return None
    return Part(int(match["shard"]), int(match["number"]))


def parse_entry(name: str) -> tuple[Part, int] | None:
    """Return the part and the number of an entry of a journal, or None if the file is none."""
    match = _ENTRY.match(name)
    if match is None:
        return None
    return Part(int(match["shard"]), int(match["number"])), int(match["entry"])
