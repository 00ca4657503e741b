"""The pod's checks of `flamingo doctor`, which run in a process that can crash or never end."""

import sys

from flamingo.commands import pod_checks
from flamingo_common.service.checks import Status, ok

LINE = ok("torch", "2.13").model_dump_json()


def run(program, *, timeout_s=60.0):
    return list(pod_checks.run([sys.executable, "-c", program], timeout_s=timeout_s))


def test_checks_are_those_that_the_process_prints():
    assert run(f"print({LINE!r})") == [ok("torch", "2.13")]


def test_a_crash_is_a_failed_check_with_its_reason():
    printed, crash = run(f"print({LINE!r}, flush=True); raise SystemExit('no such library')")

    assert printed.status is Status.OK
    assert (crash.status, crash.message) == (
        Status.FAILED,
        "the checks crashed: no such library",
    )


def test_a_check_that_does_not_end_is_stopped_after_the_time_limit():
    program = f"import time; print({LINE!r}, flush=True); time.sleep(3600)"

    _, stopped = run(program, timeout_s=1.0)

    assert stopped.status is Status.FAILED
    assert "did not end: stopped after 1 s" in stopped.message
