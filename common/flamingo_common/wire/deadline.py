"""The deadline of a request: the header `x-flamingo-deadline-ms`.

Pure.
"""

from collections.abc import Mapping

from flamingo_common import numerals
from flamingo_common.errors import BadRequest
from flamingo_common.wire import DEADLINE_HEADER

MAX_DEADLINE_MS = 86_400_000


def deadline_s(headers: Mapping[str, str], *, now_s: float) -> float | None:
    """Return the deadline in seconds on the clock of `now_s`; None without the header.

    Raises:
        BadRequest: the header is not a valid number of milliseconds.
    """
    text = headers.get(DEADLINE_HEADER)
    if text is None:
        return None
    milliseconds = numerals.whole(text)
    if milliseconds is None or not 1 <= milliseconds <= MAX_DEADLINE_MS:
        raise BadRequest(
            f"{DEADLINE_HEADER} must be a number of milliseconds from 1 to {MAX_DEADLINE_MS}",
            param=DEADLINE_HEADER,
        )
    return now_s + milliseconds / 1000
