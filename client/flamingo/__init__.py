"""Flamingo: call a fleet that serves NVIDIA's Music Flamingo.

    from flamingo import FlamingoClient

    with FlamingoClient("http://127.0.0.1:8000") as client:
        print(client.caption("song.mp3").caption)

What a server refuses is raised as its own class of `flamingo.errors`.
"""

from flamingo import errors
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
from flamingo.errors import FlamingoError
from flamingo.wire.responses import Caption

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
