"""Static files of a web page: read once, and served from memory by name.

No path that a client sends reaches the file system.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from aiohttp import web

CONTENT_TYPES: Mapping[str, str] = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "mp3": "audio/mpeg",
    "svg": "image/svg+xml",
}
TEXTS = frozenset({"text/css", "text/html", "text/javascript"})
HEADERS: Mapping[str, str] = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Revalidated each time, so that modules of two releases never mix.
    "Cache-Control": "no-cache",
}
"""Security headers of a page, except its content security policy."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file."""

    body: bytes
    content_type: str
    etag: str
    title: str
    """Path of the file in its folder; it can be served under another name."""


def load_folder(folder: Traversable, parent: str = "") -> Iterator[Asset]:
    """Yield the files of `folder` and its folders with a type in `CONTENT_TYPES`.

    None if it does not exist. `parent` precedes the names in the titles: `clip/`.
    """
    if folder.is_dir():
        for file in folder.iterdir():
            ending, title = file.name.rpartition(".")[2], parent + file.name
            if file.is_dir():
                yield from load_folder(file, f"{title}/")
            elif ending in CONTENT_TYPES:
                yield make_asset(file.read_bytes(), CONTENT_TYPES[ending], title=title)


def make_asset(body: bytes, content_type: str, *, title: str) -> Asset:
    """Return an asset with `body`, which is not from a file."""
    return Asset(body, content_type, hashlib.sha256(body).hexdigest()[:32], title)


def respond(
    request: web.Request, asset: Asset | None, headers: Mapping[str, str] = HEADERS
) -> web.Response:
    """Return the asset, or 304 if the client has it.

    Raises:
        HTTPNotFound: `asset` is None.
    """
    if asset is None:
        raise web.HTTPNotFound
    if any(tag.value in (asset.etag, "*") for tag in request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=asset.body, headers=headers, content_type=asset.content_type)
        response.charset = "utf-8" if asset.content_type in TEXTS else None
    response.etag = asset.etag
    return response
