"""The operator's process, as far as it is needed to answer its probes; the rest follows.

`/health/live`: it makes progress. `/health/ready`: it is the leader and can reconcile, or it waits
for the Lease. `/metrics`.

How it works: it listens at once, and imports `operation` in a thread meanwhile. A probe must not
wait for that, nor must a stop.
"""

import asyncio
import importlib
import os
import signal
import threading
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

from aiohttp import web

from flamingo_common.service import auth, content_coding, cors, exposition, http, logs
from flamingo_operator.operator_state import OperatorState
from flamingo_operator.settings import Settings

OPERATION = "flamingo_operator.operation"
STATE = web.AppKey("state", OperatorState)


def create(settings: Settings) -> web.Application:
    """Return the operator as an application; it runs while the application does."""
    app = http.create_app(
        max_body_bytes=settings.max_body_bytes, trusted_proxies=settings.trusted_proxies
    )
    app[STATE] = OperatorState(settings)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", _ready)
    exposition.add_to(app, app[STATE].registry)
    app.cleanup_ctx.append(_operating)
    cors.add_to(app, settings.cors_origin)
    auth.add_to(app, settings.key_file, settings.allowed_hosts)
    content_coding.add_to(app)
    return app


async def drain(app: web.Application) -> None:
    """Request the operator to stop; `_operating` waits for reconciliations in progress."""
    app[STATE].stop.set()


async def _live(request: web.Request) -> web.Response:
    state = request.app[STATE]
    is_live = not state.has_failed and state.makes_progress()
    return http.json_response({"live": is_live}, status=200 if is_live else 503)


async def _ready(request: web.Request) -> web.Response:
    state = request.app[STATE]
    problems = list(state.problems())
    body = {"ready": not problems, "leading": state.is_leading, "problems": problems}
    return http.json_response(body, status=503 if problems else 200)


async def _operating(app: web.Application) -> AsyncIterator[None]:
    operating = asyncio.create_task(_operate(app[STATE]))
    yield
    app[STATE].stop.set()
    await asyncio.gather(operating, return_exceptions=True)


async def _operate(state: OperatorState) -> None:
    try:
        module = await _import_operation(state.stop)
        if module is not None:
            await module.operate(state)
    except Exception:  # noqa: BLE001 - a bug ends the process, with its traceback
        logs.get().exception("operator.failed")
        state.has_failed = True
    if not state.stop.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


async def _import_operation(stop: asyncio.Event) -> ModuleType | None:
    """Return the module `operation`; or None if a stop is requested before it is imported."""
    loop = asyncio.get_running_loop()
    imported: asyncio.Future[ModuleType] = loop.create_future()

    def work() -> None:
        try:
            result, module = imported.set_result, importlib.import_module(OPERATION)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            loop.call_soon_threadsafe(imported.set_exception, error)
        else:
            loop.call_soon_threadsafe(result, module)

    # A daemon, so that the process can end before it.
    threading.Thread(target=work, name="import", daemon=True).start()
    stopping = asyncio.create_task(stop.wait())
    waiting: set[asyncio.Future[Any]] = {imported, stopping}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return None if stop.is_set() else imported.result()
