"""How long clients are waited for: by arguments, not by clocks."""

import pytest

from flamingo_common.service.connection_limits import (
    BODY_START_S,
    BodyRateMonitor,
    ConnectionCounter,
    ConnectionLimits,
    TokenBucket,
    WriteMonitor,
    peer_of,
)

LIMITS = ConnectionLimits(
    header_timeout_s=10,
    body_idle_timeout_s=60,
    min_body_bytes_per_s=1000,
    write_timeout_s=30,
    max_connections=3,
    max_connections_per_peer=2,
)


def body(*ticks):
    """Return the fault of a body after `(passed_s, bytes so far, is awaited)` each."""
    pace = BodyRateMonitor()
    for passed_s, num_bytes, is_awaited in ticks:
        pace.tick(passed_s, num_bytes, is_awaited=is_awaited)
    return pace.fault(LIMITS)


def test_a_silent_body_is_given_up_and_a_lively_one_is_not():
    fast = [(1, 10_000 * n, True) for n in range(1, 100)]
    assert body(*fast) is None
    assert "no byte" in body((1, 10**6, True), (61, 10**6, True))


def test_a_body_that_drips_is_given_up_though_it_is_never_silent():
    drip = [(1, n, True) for n in range(1, int(BODY_START_S) + 3)]
    assert "slower than 1000 bytes" in body(*drip)


def test_time_in_which_nobody_waits_for_the_body_does_not_count():
    assert body((500, 10, False), (20, 10, True)) is None


def outbox(*ticks):
    """Return whether a client is given up after `(written, left, is full)` each second."""
    box = WriteMonitor()
    for num_written, num_left, is_full in ticks:
        box.tick(1, num_written, num_left, is_full=is_full)
    return box.is_stalled(LIMITS)


def test_who_reads_nothing_is_given_up_whether_much_waits_or_little():
    assert outbox(*[(90_000, 70_000, True)] * 32)
    assert outbox(*[(100 + n, 100 + n, False) for n in range(33)])
    assert not outbox(*[(100, 100, False)] * 20, (100, 0, False), *[(100, 100, False)] * 20)


def test_who_takes_a_byte_now_and_then_is_given_up_too():
    assert outbox(*[(90_000, 70_000 - n, True) for n in range(32)])


def test_a_fast_writer_before_a_slow_reader_is_not_given_up():
    """It is full each time somebody looks, and was not in between."""
    box = WriteMonitor()
    for n in range(100):
        box.tick(1, 70_000 + 5000 * n, 70_000, is_full=True)
        box.drain()
    assert not box.is_stalled(LIMITS)


def test_connections_are_counted_by_peer_and_in_all():
    counter = ConnectionCounter(LIMITS)
    assert [counter.enter(peer) for peer in ("a", "a", "a", "b", "b")] == [1, 1, 0, 1, 0]
    counter.leave("a")
    assert [counter.enter(peer) for peer in ("b", "b")] == [1, 0]


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("10.0.0.1", 1), "10.0.0.1"),
        (("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"),
        (("2001:db8:1:2:3::4", 1, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        ("/run/socket", ""),
        (None, ""),
    ],
)
def test_who_a_peer_is(address, peer):
    assert peer_of(address) == peer


def test_an_allowance_is_a_burst_and_then_a_rate():
    allowance = TokenBucket(per_s=2, burst=3)
    assert [allowance.take(100.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not allowance.take(100.4)
    assert allowance.take(100.6)
    assert (allowance.refused(), allowance.refused()) == (3, 0)
    assert [allowance.take(10_000.0) for _ in range(4)] == [True] * 3 + [False]
