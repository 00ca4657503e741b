"""The web page at `/ui/`: a few static files, and the headers that keep them harmless.

The files are read once, when the page is added, and are answered from a table
of names; so no path a client sends ever reaches the file system.

The page asks `/ui/here.json` what else this server has, instead of trying and
failing: a pod has no `/fleet`, and not every installation carries the clip.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

PACKAGE = resources.files("flamingo")
"""Its folder `ui` holds the page, its folder `clips`, where there is one, the example."""
EXAMPLE = "example.mp3"
CONTENT_TYPES: Mapping[str, str] = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "mp3": "audio/mpeg",
    "svg": "image/svg+xml",
}
TEXTS = frozenset({"text/css", "text/html", "text/javascript"})
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Trusted types: the browser itself refuses innerHTML and its kin, so a model's words stay text."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Kept, and asked about each time: modules of two releases never mix.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    body: bytes
    content_type: str
    etag: str
    title: str
    """The file's own name; the clip is served under another."""


ASSETS = web.AppKey("ui_assets", dict[str, Asset])


def add_to(app: web.Application, *, package: Traversable = PACKAGE) -> None:
    """Serve the page at `/ui/`, and lead `/` and `/ui` there."""
    app[ASSETS] = dict(_assets(package))
    app.router.add_get("/", _lead)
    app.router.add_get("/ui", _lead)
    app.router.add_get("/ui/", _index)
    app.router.add_get("/ui/here.json", _here)
    app.router.add_get("/ui/{name}", _file)


def _assets(package: Traversable) -> Iterator[tuple[str, Asset]]:
    for file in _files(package / "ui"):
        if file.name.rpartition(".")[2] in CONTENT_TYPES:
            yield file.name, _asset(file)
    clips = [file for file in _files(package / "clips") if file.name.endswith(".mp3")]
    if clips:
        yield EXAMPLE, _asset(min(clips, key=lambda file: file.name))


def _files(folder: Traversable) -> Iterator[Traversable]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if entry.is_file())


def _asset(file: Traversable) -> Asset:
    body = file.read_bytes()
    return Asset(
        body=body,
        content_type=CONTENT_TYPES[file.name.rpartition(".")[2]],
        etag=hashlib.sha256(body).hexdigest()[:32],
        title=file.name,
    )


async def _lead(_: web.Request) -> web.Response:
    # Relative, so that the page also works below a proxy's path prefix.
    return web.Response(status=302, headers={**HEADERS, "Location": "ui/"})


async def _index(request: web.Request) -> web.Response:
    return _answer(request, "index.html")


async def _file(request: web.Request) -> web.Response:
    return _answer(request, request.match_info["name"])


def _answer(request: web.Request, name: str) -> web.Response:
    asset = request.app[ASSETS].get(name)
    if asset is None:
        raise web.HTTPNotFound
    if any(tag.value in (asset.etag, "*") for tag in request.if_none_match or ()):
        response = web.Response(status=304, headers=HEADERS)
    else:
        response = web.Response(body=asset.body, headers=HEADERS, content_type=asset.content_type)
        response.charset = "utf-8" if asset.content_type in TEXTS else None
    response.etag = asset.etag
    return response


async def _here(request: web.Request) -> web.Response:
    example = request.app[ASSETS].get(EXAMPLE)
    facts = {
        # Looked up now, not when the page was added: routes may be added after it.
        "fleet": any(known.canonical == "/fleet" for known in request.app.router.resources()),
        "example": example.title if example else None,
    }
    return web.json_response(facts, headers={**HEADERS, "Cache-Control": "no-store"})
