"""Pages of other origins: who may call, and what a browser is told."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from flamingo_common import errors
from flamingo_common.service import cors, http
from flamingo_common.service.settings import ServiceSettings

PAGE = "https://app.example.com"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-retry-count",
}


def ask(origins, method, path="/", **headers):
    async def refuse(_):
        raise errors.Overloaded("busy", retry_after_s=1)

    async def hello(_):
        return web.Response(text="hello")

    async def scenario():
        app = http.create_app(max_body_bytes=1024)
        app.router.add_get("/", hello)
        app.router.add_post("/", refuse)
        cors.add_to(app, origins)
        async with TestClient(TestServer(app)) as client:
            answer = await client.request(method, path, headers=headers)
            return answer.status, answer.headers

    return asyncio.run(scenario())


def test_without_a_named_origin_nothing_is_allowed():
    status, headers = ask([], "OPTIONS", **PREFLIGHT)
    assert status == 405
    assert headers["Allow"] == "GET,HEAD,POST"
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert "Vary" not in headers


@pytest.mark.parametrize("origins", [[PAGE], ["https://other.example.com", PAGE], ["*"]])
def test_a_preflight_allows_all_that_openais_client_sends(origins):
    status, headers = ask(origins, "OPTIONS", **PREFLIGHT)
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert "POST" in headers["Access-Control-Allow-Methods"]
    allowed = headers["Access-Control-Allow-Headers"].split(",")
    assert {"authorization", "content-type", "x-stainless-retry-count"} <= set(allowed)
    assert headers["Vary"] == "Origin"


def test_another_origin_is_not_named():
    _, headers = ask(["https://other.example.com"], "OPTIONS", **PREFLIGHT)
    assert "Access-Control-Allow-Origin" not in headers
    _, headers = ask(["https://other.example.com"], "GET", Origin=PAGE)
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 200), ("POST", "/", 429), ("GET", "/no", 404)]
)
def test_a_page_may_read_answers_and_refusals_with_their_headers(method, path, status):
    got, headers = ask([PAGE], method, path, Origin=PAGE)
    assert got == status
    assert headers["Access-Control-Allow-Origin"] == PAGE
    for name in ("x-request-id", "retry-after-ms", "x-should-retry"):
        assert name in headers["Access-Control-Expose-Headers"]


def test_no_cookie_is_ever_asked_for():
    for method in ("OPTIONS", "GET"):
        _, headers = ask(["*"], method, **PREFLIGHT)
        assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    "origin", ["*", PAGE, "http://localhost:5173", "http://[::1]:8080", f"{PAGE},http://a"]
)
def test_origins_are_what_browsers_send(origin):
    assert ServiceSettings(cors_origin=origin).cors_origin == origin.split(",")


@pytest.mark.parametrize("origin", ["app.example.com", f"{PAGE}/", "HTTPS://A", "null", "https://"])
def test_what_no_browser_sends_is_no_origin(origin):
    with pytest.raises(ValidationError, match="is no origin"):
        ServiceSettings(cors_origin=origin)


def test_every_answer_says_which_api_it_is_and_which_request_it_was():
    for method, path in (("GET", "/"), ("HEAD", "/"), ("POST", "/"), ("GET", "/no")):
        _, headers = ask([], method, path)
        assert headers["openai-version"] == "2020-10-01"
        assert headers["x-request-id"].startswith("req-")
        assert int(headers["openai-processing-ms"]) >= 0
