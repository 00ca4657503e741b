"""Refuses bodies with a content coding (gzip, br …), which nothing here ever unpacks.

A megabyte of gzip can unpack to a gigabyte, on the event loop and in memory, and no client of
OpenAI's API packs its bodies. `connections.Runner` turns the unpacking of aiohttp's parser off.
"""

from collections.abc import Iterator

from aiohttp import hdrs, web
from multidict import MultiMapping

from flamingo_common.errors import UnsupportedMediaType
from flamingo_common.service import http

IDENTITY = "identity"
MAX_QUOTED_CHARS = 64
TRANSFER_CODINGS = frozenset({"", "7bit", "8bit", "binary"})
"""Values of a part's Content-Transfer-Encoding that leave its bytes as they are."""


def add_to(app: web.Application) -> None:
    """Refuse every request with a content coding, with or without a body.

    Call it after `auth.add_to`: whoever has no key learns nothing else.
    """
    app.middlewares.append(_refuse_coded)


def check(headers: MultiMapping[str], subject: str) -> None:
    """Check that `subject`, which has these headers, has no content coding.

    Raises:
        UnsupportedMediaType: it has one.
    """
    if codings := coding_of(headers):
        raise UnsupportedMediaType(
            f"{subject} has Content-Encoding: {codings}; send it as it is, with Content-Encoding:"
            f" {IDENTITY} or without this header",
            accept_encoding=IDENTITY,
        )


def check_part(headers: MultiMapping[str], subject: str) -> None:
    """Check that a form's part has neither a content coding nor a transfer encoding.

    Raises:
        UnsupportedMediaType: it has one.
    """
    check(headers, subject)
    encoding = headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "").strip().lower()
    if encoding not in TRANSFER_CODINGS:
        raise UnsupportedMediaType(
            f"{subject} has Content-Transfer-Encoding: {_quoted(encoding)}; send its bytes as they"
            " are, with Content-Transfer-Encoding: binary or without this header"
        )


def coding_of(headers: MultiMapping[str]) -> str:
    """Return all codings but identity, as text for a message; "" if there is none."""
    return _quoted(", ".join(_codings(headers, hdrs.CONTENT_ENCODING, IDENTITY)))


def _codings(headers: MultiMapping[str], name: str, allowed: str) -> Iterator[str]:
    """Yield the codings in all lines of the header `name`, but for the one that is allowed."""
    for line in headers.getall(name, ()):
        for token in line.split(","):
            coding = token.strip().lower()
            if coding and coding != allowed:
                yield coding


def _quoted(text: str) -> str:
    """Return a client's text, short and in visible ASCII."""
    return text[:MAX_QUOTED_CHARS].encode("ascii", "backslashreplace").decode()


@web.middleware
async def _refuse_coded(request: web.Request, handler: http.Handler) -> web.StreamResponse:
    check(request.headers, "the request body")
    if codings := [*_codings(request.headers, hdrs.TRANSFER_ENCODING, "chunked")]:
        raise UnsupportedMediaType(
            f"the request body has Transfer-Encoding: {_quoted(', '.join(codings))}; the only"
            " transfer coding that is accepted is chunked"
        )
    return await handler(request)
