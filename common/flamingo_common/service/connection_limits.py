"""How long a client is waited for, how many are, and how often the log says so.

Pure: time is an argument.
"""

import ipaddress
from collections import Counter
from dataclasses import dataclass, field

BODY_START_S = 30.0
"""What a body may take before its rate counts."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection, and of all."""

    header_timeout_s: float
    body_idle_timeout_s: float
    min_body_bytes_per_s: float
    write_timeout_s: float
    max_connections: int
    max_connections_per_peer: int


@dataclass(slots=True)
class BodyRateMonitor:
    """How fast a body comes. Only time in which somebody waits for it counts."""

    idle_s: float = 0.0
    waited_s: float = 0.0
    num_bytes: int = 0

    def tick(self, passed_s: float, num_bytes: int, *, is_awaited: bool) -> None:
        """Note that `passed_s` later `num_bytes` have come in all."""
        if is_awaited:
            self.idle_s += passed_s
            self.waited_s += passed_s
        if num_bytes > self.num_bytes:
            self.num_bytes, self.idle_s = num_bytes, 0.0

    def fault(self, limits: ConnectionLimits) -> str | None:
        """Return why the body is not waited for any longer."""
        if self.idle_s > limits.body_idle_timeout_s:
            return f"no byte of the body came for {limits.body_idle_timeout_s:g} s"
        earned_s = self.num_bytes / limits.min_body_bytes_per_s
        if self.waited_s > BODY_START_S + earned_s:
            return f"the body comes slower than {limits.min_body_bytes_per_s:g} bytes a second"
        return None


@dataclass(slots=True)
class WriteMonitor:
    """What a client has not taken yet."""

    num_sent: int = 0
    """Bytes of the answer at hand that have left."""
    stuck_s: float = 0.0
    full_s: float = 0.0

    def tick(self, passed_s: float, num_written: int, num_left: int, *, is_full: bool) -> None:
        """Note that `passed_s` later `num_left` of the answer's `num_written` wait to be sent."""
        num_sent = num_written - num_left
        moves = num_left == 0 or num_sent != self.num_sent  # less: it is another answer
        self.stuck_s = 0.0 if moves else self.stuck_s + passed_s
        self.full_s = self.full_s + passed_s if is_full else 0.0
        self.num_sent = num_sent

    def drain(self) -> None:
        """Note that it was full, and is not any more."""
        self.full_s = 0.0

    def is_stalled(self, limits: ConnectionLimits) -> bool:
        """Whether the client has stopped reading.

        A full outbox has to come down to a quarter, 16 KiB, in time: who takes a byte
        now and then does not read either.
        """
        return max(self.stuck_s, self.full_s) > limits.write_timeout_s


@dataclass(slots=True)
class ConnectionCounter:
    """How many connections there are, and from where."""

    limits: ConnectionLimits
    _of: Counter[str] = field(default_factory=Counter)

    def enter(self, peer: str) -> bool:
        """Count a connection from `peer`, unless there are too many."""
        is_full = self._of.total() >= self.limits.max_connections
        if is_full or self._of[peer] >= self.limits.max_connections_per_peer:
            return False
        self._of[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """Count a connection no longer."""
        self._of[peer] -= 1
        if not self._of[peer]:
            del self._of[peer]


def peer_of(address: object) -> str:
    """Return who connects from a socket's `address`: an IPv6 network of 64 bits is one peer."""
    if not isinstance(address, tuple):
        return ""  # a Unix socket
    host = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if isinstance(host, ipaddress.IPv6Address):
        return str(host.ipv4_mapped or ipaddress.ip_network((host, 64), strict=False))
    return str(host)


@dataclass(slots=True)
class TokenBucket:
    """So many of something a second, and a few more at once."""

    per_s: float
    burst: float
    num_refused: int = 0
    """Since the last one that was granted."""
    _left: float | None = None
    _at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        """Take one, if there is one."""
        left = self.burst if self._left is None else self._left
        left = min(self.burst, left + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        is_granted = left >= 1
        self._left = left - 1 if is_granted else left
        if not is_granted:
            self.num_refused += 1
        return is_granted

    def refused(self) -> int:
        """Return how many were refused since this was last asked."""
        told, self.num_refused = self.num_refused, 0
        return told
