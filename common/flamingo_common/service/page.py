"""The web page at `/ui/`: a few static files, and the headers that keep them harmless.

The page asks `/ui/features.json` what else this server has, instead of trying and
failing: a pod has no `/fleet`, and not every installation carries the clip.
"""

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

from flamingo_common.service import static_files
from flamingo_common.service.static_files import Asset

PACKAGE = resources.files("flamingo_common")
"""Its folder `ui` holds the page, its folder `clips`, where there is one, the example."""
EXAMPLE = "example.mp3"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Trusted types: the browser itself refuses innerHTML and its kin, so a model's words stay text."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    **static_files.HEADERS,
}
ASSETS = web.AppKey("ui_assets", dict[str, Asset])


def add_to(app: web.Application, *, package: Traversable = PACKAGE) -> None:
    """Serve the page at `/ui/`, and lead `/` and `/ui` there."""
    app[ASSETS] = dict(_assets(package))
    app.router.add_get("/", _lead)
    app.router.add_get("/ui", _lead)
    app.router.add_get("/ui/", _index)
    app.router.add_get("/ui/features.json", _features)
    app.router.add_get("/ui/{name}", _file)


def _assets(package: Traversable) -> Iterator[tuple[str, Asset]]:
    for asset in static_files.load_folder(package / "ui"):
        yield asset.title, asset
    clips = [
        clip for clip in static_files.load_folder(package / "clips") if clip.title.endswith(".mp3")
    ]
    if clips:
        yield EXAMPLE, min(clips, key=lambda clip: clip.title)


async def _lead(_: web.Request) -> web.Response:
    # Relative, so that the page also works below a proxy's path prefix.
    return web.Response(status=302, headers={**HEADERS, "Location": "ui/"})


async def _index(request: web.Request) -> web.Response:
    return _answer(request, "index.html")


async def _file(request: web.Request) -> web.Response:
    return _answer(request, request.match_info["name"])


def _answer(request: web.Request, name: str) -> web.Response:
    return static_files.respond(request, request.app[ASSETS].get(name), HEADERS)


async def _features(request: web.Request) -> web.Response:
    example = request.app[ASSETS].get(EXAMPLE)
    facts = {
        # Looked up now, not when the page was added: routes may be added after it.
        "fleet": any(known.canonical == "/fleet" for known in request.app.router.resources()),
        "example": example.title if example else None,
    }
    return web.json_response(facts, headers={**HEADERS, "Cache-Control": "no-store"})
