"""CORS: which origins are allowed, and the headers that browsers get."""

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


def send(origins, method, path="/", **headers):
    async def reject(_):
        raise errors.Overloaded("busy", retry_after_s=1)

    async def hello(_):
        return web.Response(text="hello")

    async def scenario():
        app = http.create_app(max_body_bytes=1024)
        app.router.add_get("/", hello)
        app.router.add_post("/", reject)
        cors.add_to(app, origins)
        async with TestClient(TestServer(app)) as client:
            answer = await client.request(method, path, headers=headers)
            return answer.status, answer.headers

    return asyncio.run(scenario())


def test_without_configured_origins_nothing_is_allowed():
    status, headers = send([], "OPTIONS", **PREFLIGHT)
    assert status == 405
    assert headers["Allow"] == "GET,HEAD,POST"
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert "Vary" not in headers


@pytest.mark.parametrize("origins", [[PAGE], ["https://other.example.com", PAGE], ["*"]])
def test_a_preflight_allows_all_headers_of_openais_client(origins):
    status, headers = send(origins, "OPTIONS", **PREFLIGHT)
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert "POST" in headers["Access-Control-Allow-Methods"]
    allowed = headers["Access-Control-Allow-Headers"].split(",")
    assert {"authorization", "content-type", "x-stainless-retry-count"} <= set(allowed)
    assert headers["Vary"] == "Origin"


def test_another_origin_is_not_allowed():
    _, headers = send(["https://other.example.com"], "OPTIONS", **PREFLIGHT)
    assert "Access-Control-Allow-Origin" not in headers
    _, headers = send(["https://other.example.com"], "GET", Origin=PAGE)
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 200), ("POST", "/", 429), ("GET", "/no", 404)]
)
def test_a_page_may_read_responses_and_errors_with_their_headers(method, path, status):
    got, headers = send([PAGE], method, path, Origin=PAGE)
    assert got == status
    assert headers["Access-Control-Allow-Origin"] == PAGE
    for name in ("x-request-id", "retry-after-ms", "x-should-retry"):
        assert name in headers["Access-Control-Expose-Headers"]


def test_credentials_are_never_allowed():
    for method in ("OPTIONS", "GET"):
        _, headers = send(["*"], method, **PREFLIGHT)
        assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    "origin", ["*", PAGE, "http://localhost:5173", "http://[::1]:8080", f"{PAGE},http://a"]
)
def test_a_valid_origin_is_accepted(origin):
    assert ServiceSettings(cors_origin=origin).cors_origin == origin.split(",")


@pytest.mark.parametrize("origin", ["app.example.com", f"{PAGE}/", "HTTPS://A", "null", "https://"])
def test_an_invalid_origin_is_rejected(origin):
    with pytest.raises(ValidationError, match="is not a valid origin"):
        ServiceSettings(cors_origin=origin)
