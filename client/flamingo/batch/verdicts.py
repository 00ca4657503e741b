"""What an error of one request means for its item and for the batch.

Pure.
"""

import enum

from flamingo.batch.outcomes import ItemError
from flamingo_common.errors import FlamingoError


class Verdict(enum.Enum):
    """What to do after a request has failed."""

    REFUSED = "refused"
    """The fleet has not accepted it: send less, and the item again. That is not an attempt."""
    BROKEN = "broken"
    """It broke off: send the item again, a bounded number of times. Afterwards it is unfinished,
    and the next run tries it again."""
    DOUBTFUL = "doubtful"
    """As BROKEN, but afterwards the error is final: it is probably about the clip."""
    LATER = "later"
    """It cannot succeed within this run; the next one tries it again."""
    FINAL = "final"
    """It fails whenever it is sent."""
    FATAL = "fatal"
    """Every item would fail like this one: the batch stops."""

    @property
    def is_retried(self) -> bool:
        """Whether the item is sent again in this run, after a pause."""
        return self in {Verdict.BROKEN, Verdict.DOUBTFUL}


def item_error(error: FlamingoError, verdict: Verdict) -> ItemError:
    """Return the error to record for an item that is not sent again in this run."""
    return ItemError(
        code=error.code,
        message=error.message,
        can_retry=verdict in {Verdict.BROKEN, Verdict.LATER},
        request_id=error.request_id,
    )
