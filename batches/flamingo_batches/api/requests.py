"""What all handlers read from a request: its caller, its query, its page."""

from typing import TypeVar

from aiohttp import web

from flamingo_batches import ids
from flamingo_batches.state import State
from flamingo_batches.store.pages import PageRequest
from flamingo_common.errors import BadRequest, NotFound, Unavailable
from flamingo_common.service import auth
from flamingo_common.wire import parse
from flamingo_common.wire.batches import BatchQuery
from flamingo_common.wire.files import FileQuery
from flamingo_common.wire.request_body import RequestBody

STATE = web.AppKey("state", State)
IGNORED_QUERY = frozenset({"api-version"})
"""Azure's clients append it to every URL."""
Q = TypeVar("Q", bound=RequestBody)


def state_of(request: web.Request) -> State:
    """Return the replica's state.

    Raises:
        Unavailable: the database was not reached since the start.
    """
    state = request.app[STATE]
    if not state.is_migrated.is_set():
        raise Unavailable("the database of files and batches was not reached yet", retry_after_s=2)
    return state


def owner_of(request: web.Request) -> str:
    """Return the name of the caller's API key; "" if the server requires none."""
    key = auth.caller(request)
    return key.name if key else ""


def query_of(request: web.Request, kind: type[Q]) -> Q:
    """Return the query of the URL.

    Raises:
        BadRequest: a parameter is unknown, repeated or invalid.
    """
    fields: dict[str, object] = {}
    for name, value in request.query.items():
        if name in fields:
            raise BadRequest(f"{name[:64]}: given several times in the URL", param=name[:64])
        if name not in IGNORED_QUERY:
            fields[name] = value
    return parse.validate_request(kind, fields, is_form=True)


def page_of(query: FileQuery | BatchQuery) -> PageRequest:
    """Return the page that a query asks for."""
    return PageRequest(query.after, query.limit, query.order == "asc")


def id_of(request: web.Request, noun: str) -> str:
    """Return the id in the path.

    Raises:
        NotFound: no file or batch can have it.
    """
    text = request.match_info["id"]
    if not ids.is_valid(text):
        raise missing(noun, text)
    return text


def missing(noun: str, wanted: str) -> NotFound:
    """Return the error for a file or batch that the caller does not have."""
    return NotFound(ids.missing(noun, wanted), param="id")
