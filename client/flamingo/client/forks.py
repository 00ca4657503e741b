"""What a forked process does with the threads and connections of its parent.

How it works. A fork copies the memory and the file descriptors of a process, but only the thread
that forks. In the child, the thread of a `FlamingoClient` does not exist, and its sockets are the
parent's: bytes from the child would arrive in the middle of the parent's requests, and as long as
the child keeps a socket open, the server does not notice that the parent has closed it. Whoever
owns such things registers here, and gives them up in the child before any other code runs there.
"""

import os
import socket
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


_owners: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()
_inherited: list[object] = []
"""Kept, because destroying an event loop or a task of the parent would act on it, and log."""


def register(owner: T, give_up: Callable[[T], None]) -> None:
    """Call `give_up(owner)` in each child, where one thread runs, as long as `owner` exists."""
    _owners[owner] = give_up


def keep(inherited: object) -> None:
    """Never destroy `inherited`, which belongs to the parent."""
    _inherited.append(inherited)


def disconnect(sockets: Iterable[socket.socket]) -> None:
    """Close this process's copies of the parent's sockets, without touching the connections.

    Each file descriptor becomes one of the null device: it stays valid for the objects that still
    have it, and its number cannot become that of another file.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for each in sockets:
        if each.fileno() >= 0:
            os.dup2(null, each.fileno(), inheritable=False)
    os.close(null)


def _give_up_all() -> None:
    for owner, give_up in list(_owners.items()):
        give_up(owner)


os.register_at_fork(after_in_child=_give_up_all)
