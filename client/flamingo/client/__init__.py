"""Call a fleet: `AsyncFlamingoClient`, and `FlamingoClient` for code without an event loop.

`sources` opens what a caller has, `bodies` puts it on the wire, `transport`
exchanges it, `streams` and `results` are what comes back; `fields`, `address`,
`retries` and `failures` are pure.
"""

from flamingo.client.async_client import AsyncFlamingoClient
from flamingo.client.failures import CannotConnect, TimedOut, UnexpectedAnswer
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
    "UnexpectedAnswer",
]
