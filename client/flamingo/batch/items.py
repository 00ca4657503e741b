"""What a source lists: items, and the lines of a manifest that are none.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """One line of work: a clip, and what to ask about it."""

    key: str
    """Names the item: unique in its source and the same in every run, such as a path relative to
    the folder, the `custom_id` of a line, or `manifest.jsonl:17`."""
    location: str
    """Where the clip is, as its source understands it: a path, a URL, a member of a tar file. Items
    with the same location are about the same clip and are sent together."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the line, which are copied to the output. JSON values."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Request fields that this line sets, such as its own `prompt`; the batch's are the default."""
    num_bytes: int | None = None
    """Size of the file, where the source knows it without opening it."""
    duration_s: float | None = None
    """Length of the clip, where the source knows it without opening it."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is not a valid item; it is recorded as failed, and the batch continues."""

    key: str
    """Where it is: `manifest.jsonl:17`."""
    message: str
    """What is wrong and what is expected."""


Entry = Item | Malformed
