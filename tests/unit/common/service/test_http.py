"""HTTP conventions: headers, error responses and the access log."""

import asyncio

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from flamingo_common import errors
from flamingo_common.service import http


def send(method, path, **headers):
    """Send one request; return the response, its JSON body and the log lines."""

    async def succeed(_):
        return web.Response(text="hello")

    async def reject(_):
        raise errors.Overloaded("busy", retry_after_s=1)

    async def fail(_):
        raise RuntimeError("a secret")

    async def fail_in_engine(_):
        raise errors.InternalError("the engine failed on this request") from RuntimeError(
            "a secret"
        )

    async def scenario():
        app = http.create_app(max_body_bytes=1024)
        app.router.add_get("/", succeed)
        app.router.add_post("/", reject)
        app.router.add_get("/fail", fail)
        app.router.add_get("/engine", fail_in_engine)
        async with TestClient(TestServer(app)) as client:
            response = await client.request(method, path, headers=headers)
            is_json = response.content_type == "application/json"
            return response, await response.json() if is_json and method != "HEAD" else None

    with structlog.testing.capture_logs() as logged:
        response, body = asyncio.run(scenario())
    return response, body, logged


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("HEAD", "/"), ("POST", "/"), ("GET", "/no")]
)
def test_every_response_has_the_headers_of_openais_api(method, path):
    headers = send(method, path)[0].headers
    assert headers["openai-version"] == "2020-10-01"
    assert headers["x-request-id"].startswith("req-")
    assert int(headers["openai-processing-ms"]) >= 0
    assert headers["Server"] == "flamingo"


@pytest.mark.parametrize(
    ("sent", "is_kept"), [("client-1.a_B", True), ("a b", False), ("x" * 129, False)]
)
def test_a_valid_request_id_of_the_client_is_kept(sent, is_kept):
    headers = send("GET", "/", **{"x-request-id": sent})[0].headers
    assert (headers["x-request-id"] == sent) == is_kept


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "/no", "not_found", "GET /no does not exist"),
        ("DELETE", "/", "method_not_allowed", "/ only supports GET, HEAD, POST"),
        ("POST", "/", "overloaded", "busy"),
    ],
)
def test_an_error_is_openais_error_object(method, path, code, message):
    response, body, logged = send(method, path)
    assert response.status == errors.BY_CODE[code].status
    assert (body["error"]["code"], body["error"]["message"]) == (code, message)
    assert [line["error"] for line in logged if line["event"] == "request.finished"] == [code]


def test_an_unexpected_exception_is_logged_and_not_disclosed():
    response, body, logged = send("GET", "/fail")
    assert (response.status, body["error"]["code"]) == (500, "internal_error")
    assert "secret" not in str(body)
    assert [line["event"] for line in logged] == ["request.failed", "request.finished"]


def test_an_internal_error_is_logged_with_what_caused_it():
    response, body, logged = send("GET", "/engine")
    assert (response.status, body["error"]["code"]) == (500, "internal_error")
    assert "secret" not in str(body)
    failed = next(line for line in logged if line["event"] == "request.failed")
    assert str(failed["exc_info"].__cause__) == "a secret"
