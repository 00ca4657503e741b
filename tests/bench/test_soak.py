"""The soak's verdict is right, and a short one sends every kind of request without a surprise."""

import subprocess
import sys
from pathlib import Path

from bench import soak_readings
from bench.soak_readings import Reading
from bench.soak_traffic import KINDS

SOAK = Path(__file__).with_name("soak.py")
RUN_S = 300


def readings(**changes):
    """Return 100 readings of a process that does not grow, or whose `changes` are by time."""
    fields = {
        "anonymous_mb": 100.0,
        "shared_mb": 1.0,
        "num_descriptors": 9,
        "num_sockets": 3,
        "num_memory_files": 1,
        "num_temporary_files": 0,
        "num_threads": 4,
        "num_children": 1,
    }
    return [
        Reading(at_s=60.0 * n, **fields | {name: of(n) for name, of in changes.items()})
        for n in range(100)
    ]


def test_a_process_that_only_warms_up_is_bounded():
    grown = soak_readings.growth("pod", readings(anonymous_mb=lambda n: 100.0 + 10 * min(n, 20)))
    assert grown.is_bounded
    assert grown.per_hour_mb == 0


def test_a_slow_leak_is_found():
    grown = soak_readings.growth("pod", readings(anonymous_mb=lambda n: 100.0 + n / 2))
    assert not grown.is_bounded
    assert round(grown.per_hour_mb) == 30


def test_a_named_cache_explains_growth():
    grown = soak_readings.growth(
        "pod",
        readings(anonymous_mb=lambda n: 100.0 + n, caches_mb=lambda n: {"states": float(n)}),
    )
    assert grown.is_bounded


def test_memory_that_requests_have_reserved_is_not_growth():
    grown = soak_readings.growth("pod", readings(shared_mb=float, reserved_mb=float))
    assert grown.is_bounded


def test_descriptors_threads_and_files_that_stay_are_found():
    for name in ("num_descriptors", "num_threads", "num_temporary_files"):
        assert not soak_readings.growth("pod", readings(**{name: lambda n: 9 + n // 50})).is_bounded


def test_requests_in_flight_do_not_count_as_descriptors_that_stay():
    grown = soak_readings.growth("pod", readings(num_descriptors=lambda n: 9 + n % 10))
    assert grown.is_bounded


def test_a_short_soak_sends_every_kind_of_request_without_a_surprise():
    command = [sys.executable, str(SOAK), "--requests", "150", "--pods", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert "failures: none" in done.stdout, done.stdout + done.stderr
    for kind in KINDS:
        assert f"  {kind}: " in done.stdout
        assert f"  {kind}: 0" not in done.stdout
    assert "| pod 0, decode worker |" in done.stdout
