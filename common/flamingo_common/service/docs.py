"""API documentation: `/openapi.json`, Swagger UI at `/docs/`, and `/version`."""

import json
from collections.abc import Mapping, Sequence
from importlib import metadata, resources

from aiohttp import web

from flamingo_common.service import http, static_files
from flamingo_common.service.static_files import Asset
from flamingo_common.wire import openapi
from flamingo_common.wire.responses import Version
from flamingo_common.wire.route import Route

FOLDER = resources.files("flamingo_common") / "swagger"
DISTRIBUTION = "flamingo-fleet"
HEADERS: Mapping[str, str] = {
    # Swagger UI uses data: images, and makes HTML of sanitized text, so trusted types cannot
    # be required.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self';"
        " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    **static_files.HEADERS,
}
ASSETS = web.AppKey("docs_assets", dict[str, Asset])
DOCUMENT = web.AppKey("openapi_document", Asset)


def add_to(app: web.Application, routes: Sequence[Route]) -> None:
    """Serve the OpenAPI document of `routes`, and Swagger UI at `/docs/`."""
    document = json.dumps(openapi.document(routes, version=version()))
    app[DOCUMENT] = static_files.make_asset(
        document.encode(), "application/json", title="openapi.json"
    )
    app[ASSETS] = {asset.title: asset for asset in static_files.load_folder(FOLDER)}
    app.router.add_get("/openapi.json", _document)
    app.router.add_get("/docs", _redirect)
    app.router.add_get("/docs/", _index)
    app.router.add_get("/docs/{name}", _file)
    app.router.add_get("/version", _version)


def version() -> str:
    """Return the installed version."""
    return metadata.version(DISTRIBUTION)


async def _document(request: web.Request) -> web.Response:
    return static_files.respond(request, request.app[DOCUMENT])


async def _redirect(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={**HEADERS, "Location": "docs/"})


async def _index(request: web.Request) -> web.Response:
    return static_files.respond(request, request.app[ASSETS].get("index.html"), HEADERS)


async def _file(request: web.Request) -> web.Response:
    return static_files.respond(
        request, request.app[ASSETS].get(request.match_info["name"]), HEADERS
    )


async def _version(_: web.Request) -> web.Response:
    return http.json_response(Version(version=version()))
