"""The web page at `/ui/`: static files and their security headers.

The page reads `/ui/features.json` for the features of this server: a pod has no `/fleet`, and
not every installation includes the example clip.
"""

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

from flamingo_common.service import static_files
from flamingo_common.service.static_files import Asset

PACKAGE = resources.files("flamingo_common")
"""Has the page in the directory `ui`, and the optional example in `clips`."""
EXAMPLE = "example.mp3"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Trusted types make the browser reject innerHTML and the like, so generated text stays text."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    **static_files.HEADERS,
}
ASSETS = web.AppKey("ui_assets", dict[str, Asset])
HAS_BATCHES = web.AppKey("ui_has_batches", bool)


def add_to(
    app: web.Application, *, package: Traversable = PACKAGE, has_batches: bool = False
) -> None:
    """Serve the page at `/ui/`, and redirect `/` and `/ui` to it.

    `has_batches` says whether there is a service behind `/v1/batches`.
    """
    app[HAS_BATCHES] = has_batches
    app[ASSETS] = dict(_assets(package))
    app.router.add_get("/", _redirect)
    app.router.add_get("/ui", _redirect)
    app.router.add_get("/ui/", _index)
    app.router.add_get("/ui/features.json", _features)
    app.router.add_get("/ui/{name:.+}", _file)


def _assets(package: Traversable) -> Iterator[tuple[str, Asset]]:
    for asset in static_files.load_folder(package / "ui"):
        yield asset.title, asset
    clips = [
        clip for clip in static_files.load_folder(package / "clips") if clip.title.endswith(".mp3")
    ]
    if clips:
        yield EXAMPLE, min(clips, key=lambda clip: clip.title)


async def _redirect(_: web.Request) -> web.Response:
    # Relative, so that the page also works under a proxy's path prefix.
    return web.Response(status=302, headers={**HEADERS, "Location": "ui/"})


async def _index(request: web.Request) -> web.Response:
    return _respond(request, "index.html")


async def _file(request: web.Request) -> web.Response:
    return _respond(request, request.match_info["name"])


def _respond(request: web.Request, name: str) -> web.Response:
    return static_files.respond(request, request.app[ASSETS].get(name), HEADERS)


async def _features(request: web.Request) -> web.Response:
    example = request.app[ASSETS].get(EXAMPLE)
    features = {
        # Looked up per request, since routes can be added after the page.
        "fleet": any(known.canonical == "/fleet" for known in request.app.router.resources()),
        "batches": request.app[HAS_BATCHES],
        "example": example.title if example else None,
    }
    return web.json_response(features, headers={**HEADERS, "Cache-Control": "no-store"})
