"""Every error that crosses the wire, and how it is told.

    FlamingoError                    code                      HTTP  retry
    ├── BadRequest                   invalid_request           400   no
    │   ├── InvalidAudio             invalid_audio             400   no
    │   ├── AudioTooLong             audio_too_long            400   no
    │   ├── ContextTooLong           context_length_exceeded   400   no
    │   ├── UnsupportedParameter     unsupported_parameter     400   no
    │   ├── InvalidApiKey            invalid_api_key           401   no
    │   ├── PermissionDenied         permission_denied         403   no
    │   ├── NotFound                 not_found                 404   no
    │   │   └── ModelNotFound        model_not_found           404   no
    │   ├── MethodNotAllowed         method_not_allowed        405   no
    │   ├── RequestTooLarge          request_too_large         413   no
    │   ├── UnsupportedMediaType     unsupported_media_type    415   no
    │   ├── MediaFetchFailed         media_fetch_failed        422   no
    │   └── ClipQuarantined          clip_quarantined          422   no
    ├── BodyTimeout                  request_timeout           408   yes
    ├── Unavailable                  unavailable               503   yes
    │   ├── NoEndpointReady          no_endpoint_ready         503   yes
    │   ├── ModelLoading             model_loading             503   yes
    │   ├── Draining                 draining                  503   yes, on another pod
    │   └── Overloaded               overloaded                429   yes, after retry_after_s
    ├── RateLimited                  rate_limit_exceeded       429   yes, after retry_after_s
    ├── QuotaExceeded                insufficient_quota        429   no
    ├── UpstreamLost                 upstream_lost             502   yes, before the first byte
    ├── DeadlineExceeded             deadline_exceeded         504   no
    └── InternalError                internal_error            500   no

The body is OpenAI's, always with all four keys:
`{"error": {"message", "type", "param", "code"}}`.

A bug is not raised as any of these: it stays an ordinary exception, is logged
with its traceback, and reaches the client as `InternalError` without its text.

Pure: builds and reads values; sends nothing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

MAX_RETRY_AFTER_S = 60
"""OpenAI's clients before version 3 ignore a longer `Retry-After`."""


class FlamingoError(Exception):
    """Base of all errors a client may see."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    """OpenAI's `type`."""
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.request_id: str | None = None
        """The server's `x-request-id`, where an answer brought one."""


class BadRequest(FlamingoError):
    """The request cannot succeed as it is."""

    code = "invalid_request"
    status = 400
    type = "invalid_request_error"


class InvalidAudio(BadRequest):
    """The bytes are no audio this server reads, or hold none."""

    code = "invalid_audio"


class AudioTooLong(BadRequest):
    """The clip is longer than the model takes."""

    code = "audio_too_long"


class ContextTooLong(BadRequest):
    """Prompt and answer together exceed the model's context."""

    code = "context_length_exceeded"


class UnsupportedParameter(BadRequest):
    """A parameter of OpenAI's API that this server does not implement."""

    code = "unsupported_parameter"


class InvalidApiKey(BadRequest):
    """No API key came, or none that this server knows."""

    code = "invalid_api_key"
    status = 401


class PermissionDenied(BadRequest):
    """The API key is known, and may not do this."""

    code = "permission_denied"
    status = 403


class NotFound(BadRequest):
    """No such route."""

    code = "not_found"
    status = 404


class ModelNotFound(NotFound):
    """This server serves another model."""

    code = "model_not_found"


class MethodNotAllowed(BadRequest):
    """The route exists, with other methods."""

    code = "method_not_allowed"
    status = 405


class RequestTooLarge(BadRequest):
    """The body is over the limit."""

    code = "request_too_large"
    status = 413


class UnsupportedMediaType(BadRequest):
    """The body is neither JSON nor multipart/form-data."""

    code = "unsupported_media_type"
    status = 415


class MediaFetchFailed(BadRequest):
    """The audio's URL could not be fetched."""

    code = "media_fetch_failed"
    status = 422


class ClipQuarantined(BadRequest):
    """Two pods broke off while they had this clip; it is not sent to a third for a while."""

    code = "clip_quarantined"
    status = 422


class BodyTimeout(FlamingoError):
    """The body did not arrive in time."""

    code = "request_timeout"
    status = 408
    type = "timeout_error"
    retryable = True


class Unavailable(FlamingoError):
    """Nothing is wrong with the request; the fleet cannot take it now."""

    code = "unavailable"
    status = 503
    retryable = True


class NoEndpointReady(Unavailable):
    """No pod is ready."""

    code = "no_endpoint_ready"


class ModelLoading(Unavailable):
    """The pod is up, its weights are not."""

    code = "model_loading"


class Draining(Unavailable):
    """The pod finishes what it holds and takes nothing new."""

    code = "draining"


class Overloaded(Unavailable):
    """Every ready pod would make the request wait too long."""

    code = "overloaded"
    status = 429
    type = "rate_limit_error"


class RateLimited(FlamingoError):
    """The API key has used up its share of this minute."""

    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"
    retryable = True


class QuotaExceeded(FlamingoError):
    """The API key has used up all it may; to wait does not help."""

    code = "insufficient_quota"
    status = 429
    type = "insufficient_quota"


class UpstreamLost(FlamingoError):
    """The pod went away before it answered."""

    code = "upstream_lost"
    status = 502
    retryable = True


class DeadlineExceeded(FlamingoError):
    """The answer would come later than the request said it may."""

    code = "deadline_exceeded"
    status = 504
    type = "timeout_error"


class InternalError(FlamingoError):
    """A bug of ours; its text stays in the log."""


def _tree(cls: type[FlamingoError]) -> Iterator[type[FlamingoError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _tree(child)


BY_CODE: Mapping[str, type[FlamingoError]] = {
    cls.code: cls for cls in _tree(FlamingoError) if cls is not FlamingoError
}


def to_body(error: FlamingoError) -> dict[str, Any]:
    """Return the body that tells `error`, in OpenAI's shape."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }


def response_headers(error: FlamingoError) -> dict[str, str]:
    """Return the headers that tell OpenAI's clients whether and when to come back.

    `Retry-After` is whole seconds, rounded up and at most `MAX_RETRY_AFTER_S`;
    `retry-after-ms` is exact. Both clients obey `x-should-retry`.
    """
    if isinstance(error, InvalidApiKey):
        return {"x-should-retry": "false", "WWW-Authenticate": "Bearer"}
    if not error.retryable:
        return {"x-should-retry": "false"}
    if error.retry_after_s is None:
        return {}
    wait_s = min(max(error.retry_after_s, 0.0), MAX_RETRY_AFTER_S)
    return {
        "Retry-After": str(int(wait_s) + (wait_s > int(wait_s))),
        "retry-after-ms": str(round(wait_s * 1000)),
    }


def from_response(status: int, body: bytes, retry_after: str | None = None) -> FlamingoError:
    """Return the error that an answer with `status` >= 400 tells.

    An answer in another shape (a proxy's HTML page) still becomes an error of
    the right family, with the start of its text as message.
    """
    try:
        told = json.loads(body)["error"]
        message, code, param = str(told["message"]), told.get("code"), told.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        text = body[:200].decode("utf-8", "replace").strip()
        message, code, param = f"HTTP {status}: {text or 'no body'}", None, None
    cls = BY_CODE.get(str(code)) or _by_status(status)
    return cls(message, param=param, retry_after_s=_seconds(retry_after))


def _by_status(status: int) -> type[FlamingoError]:
    for cls in BY_CODE.values():
        if cls.status == status:
            return cls
    return BadRequest if status < InternalError.status else InternalError


def _seconds(retry_after: str | None) -> float | None:
    try:
        return float(retry_after) if retry_after else None
    except ValueError:  # the HTTP-date form; no server of ours sends it
        return None
