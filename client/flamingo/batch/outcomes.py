"""What became of one item: a result, an error, or a result that lacks some answers.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flamingo_common.wire.answers import Answer

MALFORMED = "malformed_line"
"""The error code of a line that is not a valid item."""
ANSWERS_FAILED = "answers_failed"
"""The error code of an item of which some questions have no answer."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemResult:
    """What the model returned for one item; what the task does not compute is None."""

    caption: str | None = None
    answer: str | None = None
    """The reply to a question."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """The answers to several questions by their names, also those that failed."""
    tags: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The probabilities of labels, by the name of the taxonomy."""
    measured: Mapping[str, Any] | None = None
    """Tempo, beats, key and loudness, as the HTTP API has them."""
    embedding: NDArray[np.float32] | None = None
    """Shape (frames, dimensions); a single row when pooled."""
    frame_timestamps: NDArray[np.float64] | None = None
    """Start of each frame in seconds; None when pooled."""
    finish_reason: str | None = None
    """`stop`, or `length` when `max_tokens` was reached."""
    model: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Tokens and audio, as the HTTP API has them."""
    audio_s: float = 0.0
    """Decoded length of the clip."""
    missing_s: float = 0.0
    """Seconds of audio that the file has lost."""


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why an item has no result."""

    code: str
    """The code of a `FlamingoError`, `malformed_line` or `answers_failed`."""
    message: str
    can_retry: bool
    """Whether the same request can succeed later. Such an item is not finished: the next run tries
    it again."""
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedItem:
    """What an output says of an item that an earlier run finished."""

    key: str
    failure: str | None = None
    """The message of its error; None if it has a result."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item: a `result` or an `error`; both, if some answers failed."""

    key: str
    location: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    result: ItemResult | None = None
    error: ItemError | None = None
    num_attempts: int = 0
    """How many times it was sent, apart from what the server refused to accept."""

    @property
    def is_finished(self) -> bool:
        """Whether it is final; otherwise the next run tries the item again."""
        return self.error is None or not self.error.can_retry


def answers_error(answers: Mapping[str, Answer]) -> ItemError | None:
    """Return the error of an item whose questions have some failed; None if all have answers."""
    failed = {name: one.error for name, one in answers.items() if one.error is not None}
    if not failed:
        return None
    listed = "; ".join(f"{name}: {error.message}" for name, error in failed.items())
    message = f"{len(failed)} of {len(answers)} questions failed: {listed}"
    return ItemError(ANSWERS_FAILED, message, can_retry=False)
