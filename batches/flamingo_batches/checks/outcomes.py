"""What an answer to a line means: a line of a result file, or that the line is sent again.

Pure.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from flamingo_batches.records import Usage
from flamingo_common import errors
from flamingo_common.service.backoff import backoff_s

MAX_ATTEMPTS = 5
"""After so many failures of the fleet a line has failed; refusals and outages do not count."""
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 30.0
HTTP_OK, HTTP_ERROR = 200, 300
LOST = "upstream_lost"
OF_RESPONSES = ("input", "output")
"""How `/v1/responses` names the tokens of the prompt and of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to a line."""

    status: int
    body: bytes
    request_id: str
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """No response to a line, and why."""

    code: str
    message: str
    is_final: bool = False
    """Whether trying again cannot help."""
    is_outage: bool = False
    """Whether nothing was sent, because the router cannot be reached."""


@dataclass(frozen=True, slots=True)
class Again:
    """Send the line again, after `wait_s`."""

    code: str
    wait_s: float
    is_refusal: bool = False
    """Whether the fleet has too much to do: fewer lines may be in flight."""
    counts: bool = False
    """Whether this was one of the line's attempts."""
    is_misconfigured: bool = False
    """Whether the router refuses this service, not the line."""
    retry_after_s: float | None = None
    """What the router asked for."""


@dataclass(frozen=True, slots=True)
class LineResult:
    """The final result of a line: its line in a result file, with its line break."""

    text: bytes
    is_error: bool
    """Whether it belongs into the error file."""
    usage: Usage
    outcome: str
    """`completed`, `failed`, `expired` or `cancelled`."""


REFUSALS = (errors.Unavailable, errors.RateLimited, errors.BodyTimeout)
FAILURES = (errors.UpstreamLost, errors.InternalError, errors.DeadlineExceeded)


def next_step(answer: Answer | Failure, num_attempts: int) -> Again | None:
    """Return how a line is sent again; None if the answer is final.

    `num_attempts` are those before this one that counted.
    """
    wait_s = backoff_s(num_attempts + 1, first_s=FIRST_WAIT_S, max_s=MAX_WAIT_S)
    is_last = num_attempts + 1 >= MAX_ATTEMPTS
    if isinstance(answer, Failure):
        if answer.is_final or (is_last and not answer.is_outage):
            return None
        is_outage = answer.is_outage
        return Again(answer.code, wait_s, is_refusal=is_outage, counts=not is_outage)
    if HTTP_OK <= answer.status < HTTP_ERROR:
        return None
    error = errors.from_response(answer.status, answer.body, answer.retry_after)
    return _after_error(error, wait_s, is_last=is_last)


def _after_error(error: errors.FlamingoError, wait_s: float, *, is_last: bool) -> Again | None:
    if isinstance(error, REFUSALS):
        asked_s = error.retry_after_s
        wait_s = wait_s if asked_s is None else asked_s
        return Again(error.code, wait_s, is_refusal=True, retry_after_s=asked_s)
    if isinstance(error, errors.MISCONFIGURED) or type(error) is errors.NotFound:
        return Again(error.code, MAX_WAIT_S, is_refusal=True, is_misconfigured=True)
    if isinstance(error, FAILURES) and not is_last:
        return Again(error.code, wait_s, counts=True)
    return None


def result(line_id: str, custom_id: str, answer: Answer | Failure) -> LineResult:
    """Return what an answer, which is final, makes of a line."""
    if isinstance(answer, Failure):
        return _without_response(line_id, custom_id, answer.code, answer.message, "failed")
    body, parsed = _json_body(answer)
    is_error = parsed is None or not HTTP_OK <= answer.status < HTTP_ERROR
    head = {"id": line_id, "custom_id": custom_id}
    response = {"status_code": answer.status, "request_id": answer.request_id or line_id}
    text = (
        _json(head)[:-1]
        + b',"response":'
        + _json(response)[:-1]
        + b',"body":'
        + body
        + b'},"error":null}\n'
    )
    usage = Usage() if is_error else _usage(parsed)
    return LineResult(text, is_error, usage, "failed" if is_error else "completed")


def unsent(line_id: str, custom_id: str, *, is_expired: bool) -> LineResult:
    """Return the result of a line that was not answered when its batch ended."""
    if is_expired:
        message = "This request could not be executed before the completion window expired."
        return _without_response(line_id, custom_id, "batch_expired", message, "expired")
    message = "This request was not executed, because the batch was cancelled."
    return _without_response(line_id, custom_id, "batch_cancelled", message, "cancelled")


def _without_response(
    line_id: str, custom_id: str, code: str, message: str, outcome: str
) -> LineResult:
    line = {
        "id": line_id,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }
    return LineResult(_json(line) + b"\n", is_error=True, usage=Usage(), outcome=outcome)


def _json_body(answer: Answer) -> tuple[bytes, Any]:
    """Return a body as one line of JSON, and parsed.

    What is not JSON becomes OpenAI's error object, and None.
    """
    try:
        parsed = from_json(answer.body, allow_inf_nan=False)
    except ValueError:
        status = max(answer.status, errors.BadRequest.status)
        return _json(errors.to_body(errors.from_response(status, answer.body))), None
    is_one_line = b"\n" not in answer.body and b"\r" not in answer.body
    return (answer.body if is_one_line else _json(parsed)), parsed


def _usage(parsed: Any) -> Usage:
    usage = parsed.get("usage") if isinstance(parsed, dict) else None
    if not isinstance(usage, dict):
        return Usage()
    of_input, of_output = ("prompt", "completion") if "prompt_tokens" in usage else OF_RESPONSES
    return Usage(
        _count(usage.get(f"{of_input}_tokens")),
        _count(usage.get(f"{of_output}_tokens")),
        _detail(usage.get(f"{of_input}_tokens_details"), "cached_tokens"),
        _detail(usage.get(f"{of_output}_tokens_details"), "reasoning_tokens"),
    )


def _detail(details: Any, name: str) -> int:
    return _count(details.get(name)) if isinstance(details, dict) else 0


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
