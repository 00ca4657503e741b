"""Logs on a terminal."""

import json
import os
import subprocess
import sys

PROGRAM = """
from flamingo_common.service import logs
logs.configure(service="router", level="info")
logs.get().info("request.finished", path="/\\x1b]0;owned\\x07\\x1b[2J")
"""


def test_control_sequences_that_clients_send_do_not_reach_the_terminal():
    terminal, end = os.openpty()
    subprocess.run([sys.executable, "-c", PROGRAM], stderr=end, check=True)
    os.close(end)
    shown = os.read(terminal, 65536)
    os.close(terminal)

    assert rb"\x1b]0;owned\x07\x1b[2J" in shown
    assert b"\x1b]0;" not in shown
    assert b"\x1b[2J" not in shown


LOGGING = """
import logging
from flamingo_common.service import logs
logs.configure(service="router", level="info")
logs.get().debug("left.out")
logs.get().info("ours", number=1)
logging.getLogger("library").debug("left out")
logging.getLogger("library").warning("theirs %s", 2, extra={"number": 2})
try:
    1 / 0
except ZeroDivisionError:
    logs.get().exception("failed")
"""


def test_events_and_the_logs_of_libraries_are_lines_of_json_with_the_same_fields():
    run = subprocess.run([sys.executable, "-c", LOGGING], stderr=subprocess.PIPE, check=True)
    ours, theirs, failed = map(json.loads, run.stderr.splitlines())
    assert {name: type(value) for name, value in ours.items()} == {
        name: type(value) for name, value in theirs.items()
    }
    assert (ours["event"], ours["level"], ours["service"], ours["number"]) == (
        *("ours", "info", "router"),
        1,
    )
    assert (theirs["event"], theirs["level"]) == ("theirs 2", "warning")
    assert failed["exception"].endswith("ZeroDivisionError: division by zero")


def test_logs_that_cannot_be_written_fail_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    program = LOGGING + "print('finished')"
    run = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writer, check=False
    )
    os.close(writer)
    assert run.stdout == b"finished\n"
