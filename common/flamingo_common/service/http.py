"""HTTP manners that every service shares: request ids, error bodies, one access line.

An error raised anywhere below becomes OpenAI's error object here and nowhere
else. What is not a `FlamingoError` is a bug: its traceback goes to the log, and
the client reads `internal_error` without a word of ours in it.
"""

import contextlib
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import logs, traces
from flamingo_common.service.connection_limits import TokenBucket
from flamingo_common.wire import REQUEST_ID_HEADER

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST_ID = web.RequestKey("request_id", str)
STARTED_S = web.RequestKey("started_s", float)
LOG_FIELDS = web.RequestKey("facts", dict[str, object])
"""What a handler adds to the one access line of its request."""
KEPT = (hdrs.ALLOW,)
"""What aiohttp says in an error's headers, and we in no other place."""
OPENAI_VERSION = "2020-10-01"
"""The only one that OpenAI's API ever had."""
SERVER = "flamingo"
"""What we say we are; which software, and in which version, is nobody's business."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_REFUSALS = web.AppKey("refusals", TokenBucket)
"""Refused requests that get an access line: a flood of them must not fill a disk."""
_QUIET = frozenset({"/health", "/health/live", "/health/ready", "/metrics", "/stats", "/fleet"})
"""Polled paths: no access line, as for the page's files. Changes are logged as they happen."""


def json_response(body: object, *, status: int = 200) -> web.Response:
    """Return `body` (a pydantic answer or plain JSON) as a response."""
    text = body.model_dump_json() if hasattr(body, "model_dump_json") else None
    if text is not None:
        return web.Response(text=text, status=status, content_type="application/json")
    return web.json_response(body, status=status)


def error_response(error: errors.FlamingoError) -> web.Response:
    """Return the response that tells `error`."""
    return web.json_response(
        errors.to_body(error), status=error.status, headers=errors.response_headers(error)
    )


def create_app(*, max_body_bytes: int) -> web.Application:
    """Return an application with the manners of this module, and no routes."""
    app = web.Application(
        client_max_size=max_body_bytes, middlewares=[_log_and_trace, _convert_errors]
    )
    app[_REFUSALS] = TokenBucket(per_s=100, burst=500)
    app.on_response_prepare.append(_stamp)
    return app


@web.middleware
async def _log_and_trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[STARTED_S] = time.monotonic()
    request[REQUEST_ID] = _request_id(request)
    request[LOG_FIELDS] = {}
    status = 499  # what nginx calls it: the client went away first
    with (
        _span(request) as span,
        structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID], **span.log_fields),
    ):
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as redirect:
            status = redirect.status
            raise
        finally:
            _describe(span, request, status)
            _log_access(request, status)
    return response


def _span(request: web.Request) -> contextlib.AbstractContextManager[traces.Span]:
    if request.path in _QUIET:
        return contextlib.nullcontext(traces.NO_SPAN)
    return traces.server_span(f"{request.method} {_route(request)}", request.headers)


def _describe(span: traces.Span, request: web.Request, status: int) -> None:
    if not span.is_recording:
        return
    span.set_attributes(
        {
            "http.request.method": request.method,
            "http.route": _route(request),
            "http.response.status_code": status,
        }
    )
    if "error" in request[LOG_FIELDS] or status >= 400:  # noqa: PLR2004 - where errors begin
        span.set_error(str(request[LOG_FIELDS].get("error", status)))


def _route(request: web.Request) -> str:
    """Return the pattern that the path matches: there are few, whatever clients ask for."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "other"


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else f"req-{uuid.uuid4().hex}"


def _log_access(request: web.Request, status: int) -> None:
    if request.path in _QUIET or request.path.startswith(("/ui", "/docs")):
        return
    refusals = request.app[_REFUSALS]
    is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_refusal and not refusals.take(time.monotonic()):
        return
    logs.get().info(
        "request.finished",
        method=request.method,
        path=request.path,
        route=_route(request),
        status=status,
        duration_s=round(time.monotonic() - request[STARTED_S], 4),
        **request[LOG_FIELDS],
        **({"unsaid": refusals.refused()} if refusals.num_refused else {}),
    )


@web.middleware
async def _convert_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    kept = {}
    try:
        return await handler(request)
    except errors.FlamingoError as error:
        told = error
    except web.HTTPException as exception:
        if exception.status < 400:  # noqa: PLR2004 - a redirect is an answer
            raise
        told = _of_http(request, exception)
        kept = {name: exception.headers[name] for name in KEPT if name in exception.headers}
    except web.RequestPayloadError:
        told = errors.BadRequest("the body is not encoded as its headers say")
    except ConnectionResetError:
        raise  # the client went away; there is nobody to tell
    except Exception:  # noqa: BLE001 - the one place that keeps a bug from a client
        logs.get().exception("request.failed")
        told = errors.InternalError("the server failed; the request id names the log line")
    request[LOG_FIELDS]["error"] = told.code
    response = error_response(told)
    response.headers.update(kept)
    return response


def _of_http(request: web.Request, exception: web.HTTPException) -> errors.FlamingoError:
    match exception:
        case web.HTTPNotFound():
            return errors.NotFound(f"there is no {request.method} {request.path} here")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(exception.allowed_methods))
            return errors.MethodNotAllowed(f"{request.path} answers {allowed} only")
        case web.HTTPRequestEntityTooLarge():
            return errors.RequestTooLarge("the body is over this server's limit")
        case _:
            return errors.from_response(exception.status, exception.reason.encode())


async def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request in every answer, as OpenAI's servers do, and not the software."""
    response.headers[hdrs.SERVER] = SERVER
    response.headers.setdefault("openai-version", OPENAI_VERSION)
    if REQUEST_ID in request:
        response.headers.setdefault(REQUEST_ID_HEADER, request[REQUEST_ID])
        elapsed_ms = round((time.monotonic() - request[STARTED_S]) * 1000)
        response.headers.setdefault("openai-processing-ms", str(elapsed_ms))
