"""HTTP conventions of every service: request IDs, error bodies and access logs.

Errors become OpenAI's error objects here and nowhere else. An exception that is not a
`FlamingoError` is logged with its traceback, and the client gets `internal_error` without
any detail.
"""

import asyncio
import contextlib
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import abort, client_address, logs, traces
from flamingo_common.service.addresses import Network
from flamingo_common.service.connection_limits import TokenBucket
from flamingo_common.wire import REQUEST_ID_HEADER, absent_routes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST_ID = web.RequestKey("request_id", str)
STARTED_S = web.RequestKey("started_s", float)
CLIENT = web.RequestKey("client", str)
"""The client's IP address, past trusted proxies."""
LOG_FIELDS = web.RequestKey("log_fields", dict[str, object])
"""Fields that a handler adds to the access log line of its request."""
KEPT_HEADERS = (hdrs.ALLOW,)
"""Headers of aiohttp's errors that the error response keeps."""
OPENAI_VERSION = "2020-10-01"
"""The only version of OpenAI's API so far."""
MALFORMED_BODY = "the request body does not match its Transfer-Encoding"
BODY_TOO_LARGE = "the request body exceeds the limit of {limit} bytes"
SERVER = "flamingo"
"""Value of the `Server` header, which does not disclose software and versions."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRUSTED_PROXIES = web.AppKey("trusted_proxies", Sequence[Network])
_REJECTION_LOG_BUDGET = web.AppKey("rejection_log_budget", TokenBucket)
"""Rate limit of access log lines for rejected requests, so that they cannot fill a disk."""
_UNLOGGED_PATHS = frozenset(
    {"/health", "/health/live", "/health/ready", "/metrics", "/stats", "/fleet", "/quotas"}
)
"""Paths that are polled, and have no access log line; changes of state are logged instead."""


def json_response(body: object, *, status: int = 200) -> web.Response:
    """Return `body` (a pydantic model or plain JSON) as a response, which ends with a newline.

    Otherwise a shell writes its next prompt right after what `curl` prints.
    """
    text = body.model_dump_json() if hasattr(body, "model_dump_json") else json.dumps(body)
    return web.Response(text=f"{text}\n", status=status, content_type="application/json")


def error_response(error: errors.FlamingoError) -> web.Response:
    """Return the response of `error`."""
    response = json_response(errors.to_body(error), status=error.status)
    response.headers.update(errors.response_headers(error))
    return response


def create_app(*, max_body_bytes: int, trusted_proxies: Sequence[Network] = ()) -> web.Application:
    """Return an application with the conventions of this module, and no routes."""
    app = web.Application(
        client_max_size=max_body_bytes, middlewares=[_log_and_trace, _convert_errors]
    )
    app[abort.ABORTED] = asyncio.Event()
    app[_TRUSTED_PROXIES] = trusted_proxies
    app[_REJECTION_LOG_BUDGET] = TokenBucket(per_s=100, burst=500)
    app.on_response_prepare.append(_add_headers)
    return app


@web.middleware
async def _log_and_trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[STARTED_S] = time.monotonic()
    request[REQUEST_ID] = _request_id(request)
    request[LOG_FIELDS] = {}
    request[CLIENT] = client_address.client_address(
        request.remote,
        ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())),
        request.app[_TRUSTED_PROXIES],
    )
    status = 499  # as in nginx: the client disconnected first
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
            _describe_span(span, request, status)
            _log_access(request, status)
    return response


def _span(request: web.Request) -> contextlib.AbstractContextManager[traces.Span]:
    if request.path in _UNLOGGED_PATHS:
        return contextlib.nullcontext(traces.NO_SPAN)
    return traces.server_span(f"{request.method} {_route(request)}", request.headers)


def _describe_span(span: traces.Span, request: web.Request, status: int) -> None:
    if not span.is_recording:
        return
    span.set_attributes(
        {
            "http.request.method": request.method,
            "http.route": _route(request),
            "http.response.status_code": status,
        }
    )
    if "error" in request[LOG_FIELDS] or status >= 400:  # noqa: PLR2004 - statuses of errors
        span.set_error(str(request[LOG_FIELDS].get("error", status)))


def _route(request: web.Request) -> str:
    """Return the route's pattern, which has few values whatever paths clients send."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "other"


def _request_id(request: web.Request) -> str:
    sent = request.headers.get(REQUEST_ID_HEADER, "")
    return sent if _REQUEST_ID.fullmatch(sent) else f"req-{uuid.uuid4().hex}"


def _log_access(request: web.Request, status: int) -> None:
    if request.path in _UNLOGGED_PATHS or request.path.startswith(("/ui", "/docs")):
        return
    budget = request.app[_REJECTION_LOG_BUDGET]
    is_rejected = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_rejected and not budget.take(time.monotonic()):
        return
    logs.get().info(
        "request.finished",
        method=request.method,
        path=request.path,
        route=_route(request),
        client=request[CLIENT],
        status=status,
        duration_s=round(time.monotonic() - request[STARTED_S], 4),
        **request[LOG_FIELDS],
        **({"suppressed": budget.pop_num_suppressed()} if budget.num_suppressed else {}),
    )


@web.middleware
async def _convert_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    kept_headers = {}
    try:
        with abort.as_error(request):
            return await handler(request)
    except errors.FlamingoError as raised:
        if request.writer.output_size > 0:
            raise ConnectionResetError("the response has already started") from raised
        log_cause(raised)
        error = raised
    except web.HTTPException as exception:
        if exception.status < 400:  # noqa: PLR2004 - a redirect
            raise
        error = _from_http_exception(request, exception)
        kept_headers = {
            name: exception.headers[name] for name in KEPT_HEADERS if name in exception.headers
        }
    except web.RequestPayloadError:
        error = errors.BadRequest(MALFORMED_BODY)
    except ConnectionResetError:
        raise  # the client disconnected
    except Exception:  # noqa: BLE001 - the only place that hides exceptions from clients
        logs.get().exception("request.failed")
        error = errors.InternalError(
            "internal server error; the server's log has details under this request ID"
        )
    request[LOG_FIELDS]["error"] = error.code
    response = error_response(error)
    response.headers.update(kept_headers)
    return response


def log_cause(error: errors.FlamingoError) -> None:
    """Log an internal error with the traceback of what caused it, which no client gets."""
    if isinstance(error, errors.InternalError) and error.__cause__ is not None:
        logs.get().error("request.failed", exc_info=error)


def _from_http_exception(
    request: web.Request, exception: web.HTTPException
) -> errors.FlamingoError:
    match exception:
        case web.HTTPNotFound():
            known = {route.canonical for route in request.app.router.resources()}
            hint = absent_routes.hint(request.path, known)
            end = f"; {hint}" if hint else ""
            return errors.NotFound(f"{request.method} {request.path} does not exist{end}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(exception.allowed_methods))
            return errors.MethodNotAllowed(f"{request.path} only supports {allowed}")
        case web.HTTPRequestEntityTooLarge():
            return errors.RequestTooLarge(BODY_TOO_LARGE.format(limit=request.client_max_size))
        case _:
            return errors.from_response(exception.status, exception.reason.encode())


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that OpenAI's servers send, and hide the server software."""
    response.headers[hdrs.SERVER] = SERVER
    response.headers.setdefault("openai-version", OPENAI_VERSION)
    if REQUEST_ID in request:
        response.headers.setdefault(REQUEST_ID_HEADER, request[REQUEST_ID])
        elapsed_ms = round((time.monotonic() - request[STARTED_S]) * 1000)
        response.headers.setdefault("openai-processing-ms", str(elapsed_ms))
