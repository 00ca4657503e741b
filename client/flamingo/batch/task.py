"""What a batch does with each item, as the client defines it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flamingo.batch.items import Item
from flamingo.batch.outcomes import ItemResult
from flamingo.batch.source import ClipAudio
from flamingo.batch.verdicts import Verdict
from flamingo_common.errors import FlamingoError

T = TypeVar("T")


@dataclass(frozen=True)
class Task(Generic[T]):
    """One kind of request, with the fields that all items share."""

    name: str
    """`caption`, `embed`, `analyze` or `ask`."""
    options: Mapping[str, Any]
    """The request fields that all items share. JSON values."""
    send: Callable[[Item, ClipAudio], Awaitable[T]]
    """Send one item once, without retries.

    Raises:
        FlamingoError: the request failed.
    """
    to_result: Callable[[T], ItemResult]
    judge: Callable[[FlamingoError, Item], Verdict]
    """Return what an error of `send` means for the item and the batch."""
