"""A service that is told to stop while it starts, as the first process of a container."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.patience import PATIENCE_S

FLAGS = {
    "flamingo_router": ["--endpoint=http://127.0.0.1:9"],
    "flamingo_pod": ["--model=flamingo-tiny"],
    "flamingo_operator": [],
}
FIRST = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
"""What runs a program as the first process of its namespace."""
HANDLES_TERM = 1 << (signal.SIGTERM - 1)


@pytest.fixture
def as_first(needs):
    needs("unshare", install="Debian: apt install util-linux")
    if subprocess.run([*FIRST, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no new process namespace")
    return FIRST


def first_process(parent):
    """Return the only child of `unshare`, once it is there."""
    while True:
        if children := Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            return int(children[0])


def handles_term(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & HANDLES_TERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("package", FLAGS)
def test_a_service_that_is_still_being_imported_ends_when_it_is_told_to(as_first, package, number):
    command = [*as_first, sys.executable, "-P", "-m", package, *FLAGS[package], "--port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        pid = first_process(process.pid)
        while not handles_term(pid):
            assert process.poll() is None
            time.sleep(0.001)  # it needs the core; the moment is not to be missed
        os.kill(pid, number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "Traceback" in err) == (0, False)
