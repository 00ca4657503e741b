"""Run a Python program under a kernel that has no IPv6.

    python -m fakes.without_ipv6 PROGRAM

A seccomp filter answers `socket(AF_INET6, …)` as a kernel without IPv6 does.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

SOCKET_CALLS = {"x86_64": 41, "aarch64": 198}
AF_INET6 = 10
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
CALL_OFFSET, FIRST_ARGUMENT_OFFSET = 0, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def take_away_ipv6() -> None:
    """Let this process create no IPv6 socket."""
    refused = ERRNO | errno.EAFNOSUPPORT
    instructions = (
        (LOAD, 0, 0, CALL_OFFSET),
        (EQUALS, 0, 3, SOCKET_CALLS[platform.machine()]),
        (LOAD, 0, 0, FIRST_ARGUMENT_OFFSET),
        (EQUALS, 0, 1, AF_INET6),
        (RETURN, 0, 0, refused),
        (RETURN, 0, 0, ALLOW),
    )
    packed = b"".join(struct.pack("HBBI", *one) for one in instructions)
    program = _Program(len(instructions), packed)
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((SET_NO_NEW_PRIVS, 1, 0, 0, 0), (SET_SECCOMP, FILTER, ctypes.byref(program))):
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    take_away_ipv6()
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])  # noqa: S606 - a program of the test
