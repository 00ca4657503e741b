"""The client library: `AsyncFlamingoClient`, and `FlamingoClient` for synchronous code.

`sources` opens the caller's audio, `bodies` encodes it, `transport` sends the request,
`streams` and `results` hold the response. `fields`, `address`, `retries` and `failures`
do no I/O.
"""

from flamingo.batch.failures import BatchUnfinished, FleetUnavailable, OutputFailed
from flamingo.batch.sources.open_source import SourceOptions, open_source
from flamingo.client.async_client import AsyncFlamingoClient
from flamingo.client.batch_methods import AsyncBatch
from flamingo.client.calibrations import Calibration
from flamingo.client.failures import (
    CannotConnect,
    ProxyError,
    TimedOut,
    TlsFailed,
    UnexpectedResponse,
)
from flamingo.client.manifests import process_manifest
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo.client.sources import ClipId
from flamingo.client.streams import AnswerDelta, AsyncAnswerStream, AsyncTextStream
from flamingo.client.sync_client import AnswerStream, Batch, FlamingoClient, TextStream
from flamingo.client.taxonomies import Tag, Tags, Taxonomy

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
    "ClipId",
    "Embedding",
    "FlamingoClient",
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
    "open_source",
    "process_manifest",
]
