"""What became of a request. Pure."""

from dataclasses import dataclass

from bench.chaos.requests import OK, Item, Response, is_beginning, is_right

RIGHT, CUT, WRONG, STUCK, LOST = "right", "cut", "wrong", "stuck", "lost"
REFUSED, AGAIN = "refused", "again"
FAILURES = (WRONG, STUCK, LOST)
PROPER = {"unavailable", "overloaded", "rate_limit_exceeded"}
"""Codes that ask the client to send the request again, after `Retry-After`. That a pod drains is
not the client's business; a router may say so of itself."""


@dataclass(frozen=True)
class Verdict:
    """What one try came to.

    `right`: the whole answer; `cut`: a stream that ended visibly after some of its words;
    `refused`: the client is asked to send it again; `again`: the router itself was disturbed, so
    the client asks the other. `wrong`, `stuck` and `lost` must not happen.
    """

    name: str
    why: str = ""


def judge(item: Item, got: Response, *, router_was_disturbed: bool) -> Verdict:
    """Return what a try came to; there was always a pod and a router that were left alone."""
    if got.value is not None:
        return Verdict(RIGHT) if is_right(item, got.value) else Verdict(WRONG, "another answer")
    if got.words:
        is_same = is_beginning(item, got.words)
        return Verdict(CUT) if is_same else Verdict(WRONG, "another beginning")
    if got.code is not None:
        proper = PROPER | {"draining"} if router_was_disturbed else PROPER
        is_proper = got.code in proper and got.status != OK
        why = f"{got.status} {got.code}"
        return Verdict(REFUSED, got.code) if is_proper else Verdict(LOST, why)
    if router_was_disturbed:
        return Verdict(AGAIN)
    return Verdict(LOST, "connection closed" if got.was_connected else "no connection")
