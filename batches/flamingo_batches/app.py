"""The service's application: its routes, and the worker that runs beside the requests."""

import asyncio
import signal
from collections.abc import AsyncIterator

from aiohttp import web

from flamingo_batches.api import batches, files
from flamingo_batches.api.requests import STATE
from flamingo_batches.contents import Contents
from flamingo_batches.metrics import Metrics
from flamingo_batches.settings import Settings
from flamingo_batches.state import State
from flamingo_batches.store import migrate
from flamingo_batches.store.database import Database
from flamingo_batches.work.worker import Worker
from flamingo_common.errors import FlamingoError, InternalError, Unavailable
from flamingo_common.service import auth, content_coding, cors, docs, exposition, http, logs
from flamingo_common.wire import routes

METRICS = web.AppKey("metrics", Metrics)
WORKER = web.AppKey("worker", Worker)


def create(settings: Settings) -> web.Application:
    """Return the service as an application; `drain` ends its work.

    Raises:
        DatabaseInUse: another process uses the same SQLite file.
        OSError: the directory of contents cannot be created.
    """
    app = http.create_app(
        max_body_bytes=settings.max_body_bytes, trusted_proxies=settings.trusted_proxies
    )
    database = Database(settings.database_url.get_secret_value())
    app[STATE] = State(settings, database, Contents(settings.contents_url))
    app[METRICS] = Metrics()
    app.middlewares.append(_count_request)
    app.cleanup_ctx.append(_run_tasks)
    app.add_routes(_routes())
    exposition.add_to(app, app[METRICS].registry)
    docs.add_to(app, routes.BATCHES)
    cors.add_to(app, settings.cors_origin)
    auth.add_to(app, settings.key_file, settings.allowed_hosts)
    content_coding.add_to(app)
    return app


async def drain(app: web.Application) -> None:
    """Accept no more work; return when what is in flight has ended and is recorded."""
    await asyncio.gather(app[STATE].drain_gate.close(), app[WORKER].drain())


def _routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/files", files.create),
        web.get("/v1/files", files.list_page),
        web.get("/v1/files/{id}", files.get),
        web.delete("/v1/files/{id}", files.delete),
        web.get("/v1/files/{id}/content", files.get_content),
        web.post("/v1/batches", batches.create),
        web.get("/v1/batches", batches.list_page),
        web.get("/v1/batches/{id}", batches.get),
        web.post("/v1/batches/{id}/cancel", batches.cancel),
        web.get("/health", _handle_ready),
        web.get("/health/ready", _handle_ready),
        web.get("/health/live", _handle_live),
    ]


async def _run_tasks(app: web.Application) -> AsyncIterator[None]:
    state = app[STATE]
    app[WORKER] = worker = Worker(state, app[METRICS])
    working = asyncio.create_task(_work(state, worker), name="work")
    yield
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await worker.close()
    await asyncio.to_thread(state.database.close)


async def _work(state: State, worker: Worker) -> None:
    """Work on batches; an error ends the process, so that it is restarted."""
    try:
        await _migrate(state)
        await worker.run()
    except Exception:  # noqa: BLE001 - reported by the exit status
        logs.get().exception("service.failed")
        state.has_failed = True
        signal.raise_signal(signal.SIGTERM)


async def _migrate(state: State) -> None:
    """Bring the database's schema to this release's, as soon as the database can be reached."""
    before, after = await state.database.run(migrate.upgrade, patience_s=None)
    if before != after:
        logs.get().info("database.migrated", before=before, after=after)
    state.is_migrated.set()


async def _handle_ready(request: web.Request) -> web.Response:
    state = request.app[STATE]
    is_ready = state.is_migrated.is_set() and state.database.is_connected
    status = "draining" if state.drain_gate.is_closed else "ready" if is_ready else "no_database"
    code = 200 if status == "ready" else Unavailable.status
    return http.json_response({"status": status}, status=code)


async def _handle_live(_: web.Request) -> web.Response:
    return http.json_response({"status": "live"})


@web.middleware
async def _count_request(request: web.Request, handler: http.Handler) -> web.StreamResponse:
    status = 499  # the client disconnected
    try:
        response = await handler(request)
        status = response.status
    except FlamingoError as error:
        status = error.status
        raise
    except web.HTTPException as error:
        status = error.status
        raise
    except ConnectionResetError:
        raise
    except Exception:
        status = InternalError.status
        raise
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "other"
        request.app[METRICS].requests.labels(request.method, route, status).inc()
    return response
