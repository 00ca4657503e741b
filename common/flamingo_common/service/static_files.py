"""A page's few files: read once, answered from a table of names.

So no path that a client sends ever reaches the file system.
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
    # Kept, and asked about each time: modules of two releases never mix.
    "Cache-Control": "no-cache",
}
"""What keeps a page harmless, but for its content security policy."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    body: bytes
    content_type: str
    etag: str
    title: str
    """The file's own name; it may be served under another."""


def load_folder(folder: Traversable) -> Iterator[Asset]:
    """Yield the files of `folder` whose type a page has, if there is such a folder."""
    if folder.is_dir():
        for file in folder.iterdir():
            ending = file.name.rpartition(".")[2]
            if file.is_file() and ending in CONTENT_TYPES:
                yield make_asset(file.read_bytes(), CONTENT_TYPES[ending], title=file.name)


def make_asset(body: bytes, content_type: str, *, title: str) -> Asset:
    """Return an asset that is made, not read."""
    return Asset(body, content_type, hashlib.sha256(body).hexdigest()[:32], title)


def respond(
    request: web.Request, asset: Asset | None, headers: Mapping[str, str] = HEADERS
) -> web.Response:
    """Return the asset, or 304 to who has it.

    Raises:
        HTTPNotFound: there is none.
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
