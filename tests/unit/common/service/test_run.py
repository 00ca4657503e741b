"""Listening sockets."""

import socket
import subprocess
import sys

import pytest
from fakes.patience import PATIENCE_S

from flamingo_common.service import run

REPORT = """
from flamingo_common.service import run
with run.listen("::", 0) as listener:
    print(listener.getsockname()[0])
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_all_interfaces_are_those_with_ipv4_and_those_with_ipv6(address):
    with run.listen("::", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((address, port), timeout=PATIENCE_S) as connection:
            assert connection.getpeername()[0] == address


def test_an_address_of_one_family_is_not_reached_through_the_other():
    with run.listen("::1", 0) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=PATIENCE_S)


@pytest.mark.skipif(sys.platform != "linux", reason="needs seccomp")
def test_without_ipv6_in_the_kernel_all_interfaces_are_those_with_ipv4():
    command = [sys.executable, "-m", "fakes.without_ipv6", REPORT]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=PATIENCE_S, cwd="tests"
    )
    assert done.stdout == "0.0.0.0\n"


def test_a_port_that_is_taken_is_named_with_its_address():
    with run.listen("::", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(run.PortInUse, match=rf"cannot listen on \[::\]:{port}: in use"):
            run.listen("::", port)
