"""Limits of connections: timeouts, minimum rates, numbers of connections, and log rates.

Pure: time is an argument.
"""

import ipaddress
from collections import Counter
from dataclasses import dataclass, field

BODY_START_S = 30.0
"""Seconds before the minimum rate of a request body applies."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one connection and of all connections together."""

    header_timeout_s: float
    body_idle_timeout_s: float
    min_body_bytes_per_s: float
    write_timeout_s: float
    max_connections: int
    max_connections_per_peer: int


@dataclass(slots=True)
class BodyRateMonitor:
    """Checks that a request body arrives fast enough, while a handler waits for it."""

    idle_s: float = 0.0
    waited_s: float = 0.0
    num_bytes: int = 0

    def observe(self, elapsed_s: float, num_bytes: int, *, is_awaited: bool) -> None:
        """Record that after another `elapsed_s` seconds `num_bytes` have arrived in total."""
        if is_awaited:
            self.idle_s += elapsed_s
            self.waited_s += elapsed_s
        if num_bytes > self.num_bytes:
            self.num_bytes, self.idle_s = num_bytes, 0.0

    def violation(self, limits: ConnectionLimits) -> str | None:
        """Return the message for a body that is too slow; None if it is fast enough."""
        if self.idle_s > limits.body_idle_timeout_s:
            return body_timed_out(limits.body_idle_timeout_s)
        allowed_s = self.num_bytes / limits.min_body_bytes_per_s
        if self.waited_s > BODY_START_S + allowed_s:
            rate = limits.min_body_bytes_per_s
            return f"the request body arrived at less than {rate:g} bytes per second"
        return None


@dataclass(slots=True)
class WriteMonitor:
    """Checks that a client reads its response."""

    num_sent: int = 0
    """Bytes of the current response that were sent."""
    stuck_s: float = 0.0
    full_s: float = 0.0

    def observe(self, elapsed_s: float, num_written: int, num_left: int, *, is_full: bool) -> None:
        """Record after `elapsed_s` that `num_left` of `num_written` bytes are in the buffer."""
        num_sent = num_written - num_left
        # A smaller number is that of the next response.
        is_moving = num_left == 0 or num_sent != self.num_sent
        self.stuck_s = 0.0 if is_moving else self.stuck_s + elapsed_s
        self.full_s = self.full_s + elapsed_s if is_full else 0.0
        self.num_sent = num_sent

    def drain(self) -> None:
        """Record that the buffer was full and has drained."""
        self.full_s = 0.0

    def is_stalled(self, limits: ConnectionLimits) -> bool:
        """Return whether the client has stopped reading.

        A full buffer must drain to a quarter, 16 KiB, in time: a client that reads a byte
        now and then counts as stalled too.
        """
        return max(self.stuck_s, self.full_s) > limits.write_timeout_s


@dataclass(slots=True)
class ConnectionCounter:
    """Counts connections, in total and per peer."""

    limits: ConnectionLimits
    _num_of: Counter[str] = field(default_factory=Counter)

    def add(self, peer: str) -> bool:
        """Count a connection from `peer`; return False if the limit is reached."""
        is_full = self._num_of.total() >= self.limits.max_connections
        if is_full or self._num_of[peer] >= self.limits.max_connections_per_peer:
            return False
        self._num_of[peer] += 1
        return True

    def remove(self, peer: str) -> None:
        """Stop counting a connection from `peer`."""
        self._num_of[peer] -= 1
        if not self._num_of[peer]:
            del self._num_of[peer]


def body_timed_out(timeout_s: float) -> str:
    """Return the message for a request body of which nothing has arrived for too long."""
    return f"no data of the request body arrived for {timeout_s:g} s"


def peer_of(address: object) -> str:
    """Return the peer at a socket's `address`: a host, or in IPv6 its /64 network."""
    if not isinstance(address, tuple):
        return ""  # a Unix socket
    host = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if isinstance(host, ipaddress.IPv6Address):
        return str(host.ipv4_mapped or ipaddress.ip_network((host, 64), strict=False))
    return str(host)


def shown_address(host: str | None) -> str | None:
    """Return an address for a log: an IPv4 address as such, also on a socket for both families."""
    return host.removeprefix("::ffff:") if host and "." in host else host


@dataclass(slots=True)
class TokenBucket:
    """A rate limit of `per_s` per second, with bursts of up to `burst`."""

    per_s: float
    burst: float
    num_suppressed: int = 0
    """Calls of `take` that returned False, since `pop_num_suppressed`."""
    _left: float | None = None
    _at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        """Take one token; return False if there is none."""
        left = self.burst if self._left is None else self._left
        left = min(self.burst, left + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        is_granted = left >= 1
        self._left = left - 1 if is_granted else left
        if not is_granted:
            self.num_suppressed += 1
        return is_granted

    def pop_num_suppressed(self) -> int:
        """Return `num_suppressed` and reset it."""
        num, self.num_suppressed = self.num_suppressed, 0
        return num
