"""Limits of connections, with time as an argument."""

import pytest

from flamingo_common.service.connection_limits import (
    BODY_START_S,
    BodyRateMonitor,
    ConnectionCounter,
    ConnectionLimits,
    TokenBucket,
    WriteMonitor,
    peer_of,
    shown_address,
)

LIMITS = ConnectionLimits(
    header_timeout_s=10,
    body_idle_timeout_s=60,
    min_body_bytes_per_s=1000,
    write_timeout_s=30,
    max_connections=3,
    max_connections_per_peer=2,
)


def violation(*observations):
    """Return the violation of a body after each `(elapsed_s, bytes so far, is awaited)`."""
    monitor = BodyRateMonitor()
    for elapsed_s, num_bytes, is_awaited in observations:
        monitor.observe(elapsed_s, num_bytes, is_awaited=is_awaited)
    return monitor.violation(LIMITS)


def test_an_idle_body_times_out_and_an_active_one_does_not():
    fast = [(1, 10_000 * n, True) for n in range(1, 100)]
    assert violation(*fast) is None
    assert "no data" in violation((1, 10**6, True), (61, 10**6, True))


def test_a_slow_body_times_out_though_it_is_never_idle():
    slow = [(1, n, True) for n in range(1, int(BODY_START_S) + 3)]
    assert "less than 1000 bytes" in violation(*slow)


def test_time_without_a_waiting_handler_does_not_count():
    assert violation((500, 10, False), (20, 10, True)) is None


def is_stalled(*observations):
    """Return whether a client is stalled after `(written, left, is full)` each second."""
    monitor = WriteMonitor()
    for num_written, num_left, is_full in observations:
        monitor.observe(1, num_written, num_left, is_full=is_full)
    return monitor.is_stalled(LIMITS)


def test_a_client_that_reads_nothing_is_stalled_with_a_full_or_a_small_buffer():
    assert is_stalled(*[(90_000, 70_000, True)] * 32)
    assert is_stalled(*[(100 + n, 100 + n, False) for n in range(33)])
    assert not is_stalled(*[(100, 100, False)] * 20, (100, 0, False), *[(100, 100, False)] * 20)


def test_a_client_that_reads_a_byte_now_and_then_is_stalled():
    assert is_stalled(*[(90_000, 70_000 - n, True) for n in range(32)])


def test_a_slow_reader_of_a_fast_writer_is_not_stalled():
    """The buffer is full at each observation, but drains in between."""
    monitor = WriteMonitor()
    for n in range(100):
        monitor.observe(1, 70_000 + 5000 * n, 70_000, is_full=True)
        monitor.drain()
    assert not monitor.is_stalled(LIMITS)


def test_connections_are_limited_per_peer_and_in_total():
    counter = ConnectionCounter(LIMITS)
    assert [counter.add(peer) for peer in ("a", "a", "a", "b", "b")] == [1, 1, 0, 1, 0]
    counter.remove("a")
    assert [counter.add(peer) for peer in ("b", "b")] == [1, 0]


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
def test_the_peer_of_an_address(address, peer):
    assert peer_of(address) == peer


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("fd00::1", "fd00::1"),
        ("::ffff:0:1", "::ffff:0:1"),
        (None, None),
    ],
)
def test_an_ipv4_client_is_shown_as_such_on_a_socket_for_both_families(address, shown):
    assert shown_address(address) == shown


def test_a_token_bucket_allows_a_burst_and_then_a_rate():
    bucket = TokenBucket(per_s=2, burst=3)
    assert [bucket.take(100.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not bucket.take(100.4)
    assert bucket.take(100.6)
    assert (bucket.pop_num_suppressed(), bucket.pop_num_suppressed()) == (3, 0)
    assert [bucket.take(10_000.0) for _ in range(4)] == [True] * 3 + [False]
