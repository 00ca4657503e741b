"""Authentication by API key, and permissions."""

import asyncio
import json
import re

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fakes import polling
from fakes.key_files import ALICE, ALICE_NEW, BOB, EYE, FILE, entry, swap
from fakes.patience import PATIENCE_S

from flamingo_common import errors
from flamingo_common.service import auth, http, keys


@pytest.fixture
def with_server(tmp_path):
    """Return a function that runs `scenario(client)` against an app that requires API keys."""

    async def answer(request):
        found = auth.caller(request)
        return web.json_response({"caller": found.name if found else None})

    def run(scenario):
        async def main():
            app = http.create_app(max_body_bytes=1024)
            for route in (
                "/v1/models",
                "/v1/models/{id:.+}",
                "/stats",
                "/health/live",
                "/health/ready",
            ):
                app.router.add_get(route, answer)
            app.router.add_post("/v1/chat/completions", answer)
            auth.add_to(app, swap(tmp_path, FILE))
            async with TestClient(TestServer(app)) as client:
                return await scenario(client)

        return asyncio.run(main())

    return run


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_a_known_key_is_accepted_and_identifies_the_caller(with_server):
    async def scenario(client):
        answer = await client.post("/v1/chat/completions", headers=bearer(ALICE))
        return answer.status, await answer.json()

    assert with_server(scenario) == (200, {"caller": "alice"})


WRONG = {
    "none": {},
    "another": bearer("fk-guess"),
    "empty": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {ALICE}"},
    "no scheme": {"Authorization": ALICE},
    "in another header": {"X-Api-Key": ALICE},
    "its hash": bearer(keys.digest_of(ALICE)),
    "a prefix": bearer(ALICE[:-1]),
    "bytes that are not text": {"Authorization": "Bearer \udcff\udcfe"},
}


def test_all_unauthenticated_requests_get_the_same_response(with_server):
    async def scenario(client):
        received = []
        for headers in WRONG.values():
            answer = await client.post("/v1/chat/completions", headers=headers)
            received.append(
                (answer.status, await answer.json(), answer.headers["WWW-Authenticate"])
            )
        return received

    first, *others = with_server(scenario)
    assert all(other == first for other in others)
    status, body, challenge = first
    assert (status, challenge) == (401, "Bearer")
    assert errors.from_response(status, json.dumps(body).encode()).code == "invalid_api_key"


EVASIVE_PATHS = [
    "//v1/models",
    "/%2e/v1/models",
    "/v1/%2e%2e/v1/models",
    "/health/live/../../v1/models",
    "/health/live/%2e%2e/%2e%2e/v1/models",
    "/v1/models/",
    "/v1/models?/health/live",
    "/v1/models/health/live",
    "/v1/models%23/health/live",
    "/V1/models",
    "/nothing",
    "/health/live;/v1/models",
    "http://evil/v1/models",
]


EVASIVE_HEADERS = [
    "X-HTTP-Method-Override: GET",
    "X-Original-URL: /health/live",
    "X-Rewrite-URL: /ui/",
    "X-Forwarded-Prefix: /ui",
]


@pytest.mark.parametrize("path", EVASIVE_PATHS)
def test_cve_2026_48746_no_spelling_of_a_path_bypasses_authentication(with_server, path):
    async def scenario(client):
        received = b""
        for host in ("a", "/health/live", "a/health/live?", "x:1@health"):
            reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
            head = [f"GET {path} HTTP/1.1", f"Host: {host}", *EVASIVE_HEADERS, "Connection: close"]
            writer.write("\r\n".join([*head, "", ""]).encode())
            received += await reader.read()
            writer.close()
        return received

    received = with_server(scenario)
    statuses = re.findall(rb"HTTP/1\.[01] (\d+)", received)
    assert len(statuses) == 4
    assert set(statuses) <= {b"401", b"400"}
    assert b"caller" not in received


def test_health_checks_need_no_key_but_other_methods_do(with_server):
    async def scenario(client):
        answers = [
            await client.get("/health/live"),
            await client.head("/health/ready"),
            await client.post("/health/live", headers={"X-HTTP-Method-Override": "GET"}),
        ]
        return [answer.status for answer in answers]

    assert with_server(scenario) == [200, 200, 401]


def test_a_key_has_only_the_permissions_of_its_entry(with_server):
    async def scenario(client):
        asks = [("/stats", ALICE), ("/stats", EYE), ("/v1/models", EYE), ("/v1/models", BOB)]
        return [(await client.get(path, headers=bearer(key))).status for path, key in asks]

    assert with_server(scenario) == [403, 200, 403, 200]


async def until(client, key, status):
    """Poll until the key file has been reloaded."""
    async with asyncio.timeout(PATIENCE_S):

        async def is_as_wanted():
            return (await client.get("/v1/models", headers=bearer(key))).status == status

        await polling.until(is_as_wanted)


def test_keys_are_revoked_and_added_without_a_restart(with_server, tmp_path):
    async def scenario(client):
        async def status(key):
            return (await client.get("/v1/models", headers=bearer(key))).status

        before = [await status(ALICE), await status(ALICE_NEW)]
        swap(tmp_path, {"keys": [entry("alice", ALICE), entry("alice", ALICE_NEW)]})
        await until(client, ALICE_NEW, 200)
        both = [await status(ALICE), await status(ALICE_NEW)]
        swap(tmp_path, {"keys": [entry("alice", ALICE_NEW)]})
        await until(client, ALICE, 401)
        return before, both, await status(ALICE_NEW)

    assert with_server(scenario) == ([200, 401], [200, 200], 200)


def test_the_access_log_has_the_name_of_the_key_and_never_the_key(with_server):
    async def scenario(client):
        for key in (ALICE, "fk-canary"):
            await client.get("/v1/models", headers=bearer(key))

    with structlog.testing.capture_logs() as logged:
        with_server(scenario)
    received = [line for line in logged if line["event"] == "request.finished"]
    assert [line.get("key") for line in received] == ["alice", None]
    assert "canary" not in str(logged)
    assert ALICE not in str(logged)


def test_every_public_route_is_public_on_purpose():
    public = {
        "/health",
        "/health/live",
        "/health/ready",
        "/",
        "/docs",
        "/docs/",
        "/docs/{name}",
        "/openapi.json",
        "/version",
    }
    page = {"/ui", "/ui/", "/ui/features.json", "/ui/{name}"}
    assert public | page == auth.PUBLIC_ROUTES
