"""How many slow uploads each client has open.

An upload holds a connection at the router and at a pod, memory at both, and its place. Only
uploads that take long are counted, so a burst of fast ones is never rejected.

Pure: time is an argument.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from flamingo_common.errors import RateLimited
from flamingo_router.balancing.ledger import UPLOAD_S

RETRY_S = 5.0
"""`Retry-After`: when one of them ends is unknown."""


@dataclass(slots=True)
class OpenUploads:
    """The open uploads of all clients: names of keys, or addresses where there are no keys."""

    max_per_client: int
    _opened_s: defaultdict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """When each upload began, by client and number; oldest first."""
    _num: int = 0

    def begin(self, client: str, *, now_s: float) -> int:
        """Count one more upload; return its number, with which it must be ended.

        Raises:
            RateLimited: the client has too many uploads open that take long.
        """
        opened = self._opened_s.get(client, {})
        num_slow = sum(now_s - since_s >= UPLOAD_S for since_s in opened.values())
        if num_slow >= self.max_per_client:
            raise RateLimited(
                f"{num_slow} uploads of this client are in progress"
                f" (limit: {self.max_per_client}); retry when one of them has ended",
                retry_after_s=RETRY_S,
            )
        self._num += 1
        self._opened_s[client][self._num] = now_s
        return self._num

    def end(self, client: str, number: int) -> None:
        """Stop counting an upload; does nothing if it has been ended already."""
        opened = self._opened_s.get(client, {})
        opened.pop(number, None)
        if not opened:
            self._opened_s.pop(client, None)
