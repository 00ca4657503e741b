"""Logs on a terminal."""

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
