"""What every output of a batch implements."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from flamingo.batch.outcomes import Outcome, RecordedItem


class Output(Protocol):
    """Records outcomes, each exactly once.

    The methods may block: a batch calls them in a thread, one at a time. Only outcomes that are
    final (`is_finished`) are recorded. The batch holds a lock on its state file, so no other run
    writes to the same output.
    """

    def recorded_items(self, *, repair: bool = True) -> Iterator[RecordedItem]:
        """Yield all recorded outcomes, without holding them all in memory.

        It is called before the first `append`, and again after `forget_failed`. What a killed run
        left incomplete, such as a torn last line, is removed first and not listed; without
        `repair` it is only not listed, and nothing is written. An item may be listed twice.

        Raises:
            BadRequest: what is there was not written by this output, and what to do.
        """
        ...

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Record `outcomes`. When this returns, they survive a kill and a power failure.

        Raises:
            OSError: they cannot be written, for example since the disk is full. None of them or
                some are recorded; the next run finds out which.
        """
        ...

    def forget_failed(self) -> None:
        """Remove all recorded errors, so that those items are processed again.

        It is called after `recorded_items` and before the first `append`. A kill leaves all of them
        or some.

        Raises:
            OSError: the output cannot be written.
        """
        ...

    def close(self) -> None:
        """Release what is open; idempotent. An output that completes files does it here."""
        ...
