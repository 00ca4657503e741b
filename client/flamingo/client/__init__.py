"""The client library: `AsyncFlamingoClient`, and `FlamingoClient` for synchronous code.

`sources` opens the caller's audio, `bodies` encodes it, `transport` sends the request,
`streams` and `results` hold the response. `fields`, `address`, `retries` and `failures`
do no I/O.
"""

from flamingo.client.async_client import AsyncFlamingoClient
from flamingo.client.failures import CannotConnect, TimedOut, UnexpectedResponse
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo.client.streams import AsyncTextStream
from flamingo.client.sync_client import FlamingoClient, TextStream

__all__ = [
    "Analysis",
    "AsyncFlamingoClient",
    "AsyncTextStream",
    "CannotConnect",
    "Embedding",
    "FlamingoClient",
    "Reply",
    "TextStream",
    "TimedOut",
    "UnexpectedResponse",
]
