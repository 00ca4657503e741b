"""Flamingo: call a fleet that serves NVIDIA's Music Flamingo.

    from flamingo import FlamingoClient

    with FlamingoClient("http://127.0.0.1:8000") as client:
        print(client.caption("song.mp3").caption)

What a server refuses is raised as its own class of `flamingo.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from flamingo import errors
from flamingo_common.errors import FlamingoError

if TYPE_CHECKING:
    from flamingo.client import (
        Analysis,
        AsyncFlamingoClient,
        AsyncTextStream,
        CannotConnect,
        Embedding,
        FlamingoClient,
        Reply,
        TextStream,
        TimedOut,
        UnexpectedAnswer,
    )
    from flamingo_common.wire.responses import Caption

__all__ = [
    "Analysis",
    "AsyncFlamingoClient",
    "AsyncTextStream",
    "CannotConnect",
    "Caption",
    "Embedding",
    "FlamingoClient",
    "FlamingoError",
    "Reply",
    "TextStream",
    "TimedOut",
    "UnexpectedAnswer",
    "errors",
]


def __getattr__(name: str) -> object:
    # Services live in this package too, and none of them should carry the client and NumPy.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "flamingo_common.wire.responses" if name == "Caption" else "flamingo.client"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
