"""Flamingo: the Python client for a Flamingo fleet, which serves NVIDIA's Music Flamingo.

    from flamingo import FlamingoClient

    with FlamingoClient("http://127.0.0.1:8000") as client:
        print(client.caption("song.mp3").caption)

Every error that the client raises is a `FlamingoError`; `flamingo.errors` has one class
for each error code that a server returns.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from flamingo import errors
from flamingo_common.errors import FlamingoError

if TYPE_CHECKING:
    from flamingo.client import (
        Analysis,
        AnswerDelta,
        AnswerStream,
        AsyncAnswerStream,
        AsyncBatch,
        AsyncFlamingoClient,
        AsyncTextStream,
        Batch,
        BatchUnfinished,
        Calibration,
        CannotConnect,
        ClipId,
        Embedding,
        FlamingoClient,
        FleetUnavailable,
        OutputFailed,
        ProxyError,
        Reply,
        SourceOptions,
        Tag,
        Tags,
        Taxonomy,
        TextStream,
        TimedOut,
        TlsFailed,
        UnexpectedResponse,
        open_source,
        process_manifest,
    )
    from flamingo_common.wire.responses import Caption

__all__ = [
    "Analysis",
    "AnswerDelta",
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncBatch",
    "AsyncFlamingoClient",
    "AsyncTextStream",
    "Batch",
    "BatchUnfinished",
    "Calibration",
    "CannotConnect",
    "Caption",
    "ClipId",
    "Embedding",
    "FlamingoClient",
    "FlamingoError",
    "FleetUnavailable",
    "OutputFailed",
    "ProxyError",
    "Reply",
    "SourceOptions",
    "Tag",
    "Tags",
    "Taxonomy",
    "TextStream",
    "TimedOut",
    "TlsFailed",
    "UnexpectedResponse",
    "errors",
    "open_source",
    "process_manifest",
]


def __getattr__(name: str) -> object:
    # Imported on first use: the command line and `import flamingo` start without NumPy.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "flamingo_common.wire.responses" if name == "Caption" else "flamingo.client"
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
