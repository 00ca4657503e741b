"""Every error that a server returns, and its HTTP representation.

    FlamingoError                    code                      HTTP  retry
    ├── BadRequest                   invalid_request           400   no
    │   ├── InvalidAudio             invalid_audio             400   no
    │   ├── AudioDamaged             audio_damaged             400   no
    │   ├── AudioTooLong             audio_too_long            400   no
    │   ├── ContextTooLong           context_length_exceeded   400   no
    │   ├── UnknownParameter         unknown_parameter         400   no
    │   ├── UnsupportedParameter     unsupported_parameter     400   no
    │   ├── InvalidApiKey            invalid_api_key           401   no
    │   ├── PermissionDenied         permission_denied         403   no
    │   ├── HostNotAllowed           host_not_allowed          403   no
    │   ├── NotFound                 not_found                 404   no
    │   │   ├── ModelNotFound        model_not_found           404   no
    │   │   └── ClipNotHeld          clip_not_held             404   no
    │   ├── MethodNotAllowed         method_not_allowed        405   no
    │   ├── RequestTooLarge          request_too_large         413   no
    │   ├── UnsupportedMediaType     unsupported_media_type    415   no
    │   ├── MediaFetchFailed         media_fetch_failed        422   no
    │   ├── ClipQuarantined          clip_quarantined          422   no
    │   └── AnswerWithoutTimes       answer_without_times      422   no
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

The body is OpenAI's error object, always with all four keys:
`{"error": {"message", "type", "param", "code"}}`.

An unexpected exception is not one of these: it is logged with its traceback and
reaches the client as `InternalError`, without its text.

Pure: converts errors to and from values; sends nothing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from flamingo_common import numerals

__all__ = [
    "BY_CODE",
    "MAX_RETRY_AFTER_S",
    "MISCONFIGURED",
    "AnswerWithoutTimes",
    "AudioDamaged",
    "AudioTooLong",
    "BadRequest",
    "BodyTimeout",
    "ClipNotHeld",
    "ClipQuarantined",
    "ContextTooLong",
    "DeadlineExceeded",
    "Draining",
    "FlamingoError",
    "HostNotAllowed",
    "InternalError",
    "InvalidApiKey",
    "InvalidAudio",
    "MediaFetchFailed",
    "MethodNotAllowed",
    "ModelLoading",
    "ModelNotFound",
    "NoEndpointReady",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "QuotaExceeded",
    "RateLimited",
    "RequestTooLarge",
    "Unavailable",
    "UnknownParameter",
    "UnsupportedMediaType",
    "UnsupportedParameter",
    "UpstreamLost",
    "from_response",
    "response_headers",
    "to_body",
]

MAX_RETRY_AFTER_S = 60
"""OpenAI's clients before version 3 ignore a longer `Retry-After`."""


class FlamingoError(Exception):
    """Base of all errors that a server returns."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    """`type` in OpenAI's error object."""
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.request_id: str | None = None
        """`x-request-id` of the response that carried this error, if it had one."""


class BadRequest(FlamingoError):
    """The request is invalid; it fails again if it is retried unchanged."""

    code = "invalid_request"
    status = 400
    type = "invalid_request_error"


class InvalidAudio(BadRequest):
    """The audio is corrupt, empty or in an unsupported format."""

    code = "invalid_audio"


class AudioDamaged(BadRequest):
    """More of the clip is missing than the request allows."""

    code = "audio_damaged"


class AudioTooLong(BadRequest):
    """The clip is longer than the model's maximum audio length."""

    code = "audio_too_long"


class ContextTooLong(BadRequest):
    """The prompt and the tokens to generate exceed the model's context length."""

    code = "context_length_exceeded"


class UnknownParameter(BadRequest):
    """The request has a parameter that does not exist."""

    code = "unknown_parameter"


class UnsupportedParameter(BadRequest):
    """The request sets a parameter of another server's API that this server does not support."""

    code = "unsupported_parameter"


class InvalidApiKey(BadRequest):
    """The API key is missing or unknown."""

    code = "invalid_api_key"
    status = 401


class PermissionDenied(BadRequest):
    """The API key is valid but lacks the permission for this route."""

    code = "permission_denied"
    status = 403


class HostNotAllowed(BadRequest):
    """The server has no API keys and may not be called by this name."""

    code = "host_not_allowed"
    status = 403


class NotFound(BadRequest):
    """The path does not exist."""

    code = "not_found"
    status = 404


class ModelNotFound(NotFound):
    """The requested model is not served by this server."""

    code = "model_not_found"


class ClipNotHeld(NotFound):
    """No clip with this id is held, or not any more; send the clip again."""

    code = "clip_not_held"


class MethodNotAllowed(BadRequest):
    """The path does not support this HTTP method."""

    code = "method_not_allowed"
    status = 405


class RequestTooLarge(BadRequest):
    """The request body exceeds the size limit."""

    code = "request_too_large"
    status = 413


class UnsupportedMediaType(BadRequest):
    """The request body is neither JSON nor multipart/form-data, or it has a content coding."""

    code = "unsupported_media_type"
    status = 415

    def __init__(self, message: str, *, accept_encoding: str | None = None, **common: Any) -> None:
        super().__init__(message, **common)
        self.accept_encoding = accept_encoding
        """The codings that are accepted, if the coding is the reason (RFC 9110 §15.5.16)."""


class MediaFetchFailed(BadRequest):
    """The audio could not be fetched from its URL."""

    code = "media_fetch_failed"
    status = 422


class ClipQuarantined(BadRequest):
    """The clip crashed two pods and is blocked for a while."""

    code = "clip_quarantined"
    status = 422


class AnswerWithoutTimes(BadRequest):
    """Subtitles were requested, and the model has stated no times."""

    code = "answer_without_times"
    status = 422


class BodyTimeout(FlamingoError):
    """The request body did not arrive in time."""

    code = "request_timeout"
    status = 408
    type = "timeout_error"
    retryable = True


class Unavailable(FlamingoError):
    """The server cannot accept the request at the moment."""

    code = "unavailable"
    status = 503
    retryable = True


class NoEndpointReady(Unavailable):
    """No pod is ready to serve requests."""

    code = "no_endpoint_ready"


class ModelLoading(Unavailable):
    """The pod is still loading its model."""

    code = "model_loading"


class Draining(Unavailable):
    """The server is shutting down and accepts no new requests."""

    code = "draining"


class Overloaded(Unavailable):
    """All pods are at capacity, or the request queue is full."""

    code = "overloaded"
    status = 429
    type = "rate_limit_error"


class RateLimited(FlamingoError):
    """The API key has exceeded its rate limit."""

    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"
    retryable = True


class QuotaExceeded(FlamingoError):
    """The API key has exhausted its quota; retrying does not help."""

    code = "insufficient_quota"
    status = 429
    type = "insufficient_quota"


class UpstreamLost(FlamingoError):
    """The pod closed the connection before its response was complete."""

    code = "upstream_lost"
    status = 502
    retryable = True


class DeadlineExceeded(FlamingoError):
    """The request cannot be completed before its deadline."""

    code = "deadline_exceeded"
    status = 504
    type = "timeout_error"


class InternalError(FlamingoError):
    """The server failed unexpectedly; its log has the details."""


def _with_subclasses(cls: type[FlamingoError]) -> Iterator[type[FlamingoError]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _with_subclasses(subclass)


MISCONFIGURED = (InvalidApiKey, PermissionDenied, HostNotAllowed, QuotaExceeded)
"""What no request changes: the key or the address of a client, or a server's settings for them."""
BY_CODE: Mapping[str, type[FlamingoError]] = {
    cls.code: cls for cls in _with_subclasses(FlamingoError) if cls is not FlamingoError
}


def to_body(error: FlamingoError) -> dict[str, Any]:
    """Return the response body of `error`, as OpenAI's error object."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }


def response_headers(error: FlamingoError) -> dict[str, str]:
    """Return the headers by which OpenAI's clients decide whether and when to retry.

    `Retry-After` is whole seconds, rounded up and at most `MAX_RETRY_AFTER_S`;
    `retry-after-ms` is exact. OpenAI's clients honor `x-should-retry` first.
    """
    if isinstance(error, InvalidApiKey):
        return {"x-should-retry": "false", "WWW-Authenticate": "Bearer"}
    if isinstance(error, UnsupportedMediaType) and error.accept_encoding is not None:
        return {"x-should-retry": "false", "Accept-Encoding": error.accept_encoding}
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
    """Return the error that a response with `status` >= 400 carries.

    For a body in another format (a proxy's HTML page), the class is one with that status,
    and the message is the beginning of the body.
    """
    try:
        fields = json.loads(body)["error"]
        message, code, param = str(fields["message"]), fields.get("code"), fields.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        text = body[:200].decode("utf-8", "replace").strip()
        message, code, param = f"HTTP {status}: {text or 'empty body'}", None, None
    cls = BY_CODE.get(str(code)) or _class_of_status(status)
    return cls(message, param=param, retry_after_s=_parse_seconds(retry_after))


def _class_of_status(status: int) -> type[FlamingoError]:
    for cls in BY_CODE.values():
        if cls.status == status:
            return cls
    return BadRequest if status < InternalError.status else InternalError


def _parse_seconds(retry_after: str | None) -> float | None:
    seconds = numerals.number(retry_after or "")  # not an HTTP date, which no fleet sends
    return None if seconds is None or seconds < 0 else float(seconds)
