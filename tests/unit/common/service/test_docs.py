"""Swagger UI at `/docs/`: all its files come from this server."""

import asyncio
import re

import pytest
from aiohttp.test_utils import TestClient, TestServer

from flamingo_common.service import docs, http
from flamingo_common.wire import routes

OWN = ("index.html", "start.js")
VENDORED = ("swagger-ui-bundle.js", "swagger-ui.css")


def get(path, **headers):
    async def scenario():
        app = http.create_app(max_body_bytes=1024)
        docs.add_to(app, routes.POD)
        async with TestClient(TestServer(app)) as client:
            answer = await client.get(path, headers=headers, allow_redirects=False)
            return answer.status, answer.headers, await answer.read()

    return asyncio.run(scenario())


@pytest.mark.parametrize("name", ["", *OWN, *VENDORED])
def test_files_have_a_strict_content_security_policy(name):
    status, headers, body = get(f"/docs/{name}")
    assert (status, bool(body)) == (200, True)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    assert get(f"/docs/{name}", **{"If-None-Match": headers["ETag"]})[0] == 304


def test_our_files_refer_to_no_other_server():
    for name in OWN:
        _, _, body = get(f"/docs/{name}")
        assert not re.search(rb"https?:|//[a-z]", body.replace(b"// Show", b""))


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "..%2Fcli.py", "no.js"])
def test_no_other_file_is_served(name):
    assert get(f"/docs/{name}")[0] == 404


def test_the_licenses_of_vendored_files_are_included():
    names = {file.name for file in docs.FOLDER.iterdir()}
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt", "README.md"} <= names


def test_the_redirect_is_relative():
    status, headers, _ = get("/docs")
    assert (status, headers["Location"]) == (302, "docs/")
