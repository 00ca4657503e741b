"""`/docs/`: everything it needs comes from this server."""

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
def test_the_pages_files_come_under_a_strict_policy(name):
    status, headers, body = get(f"/docs/{name}")
    assert (status, bool(body)) == (200, True)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    assert get(f"/docs/{name}", **{"If-None-Match": headers["ETag"]})[0] == 304


def test_what_we_wrote_of_it_names_no_other_server():
    for name in OWN:
        _, _, body = get(f"/docs/{name}")
        assert not re.search(rb"https?:|//[a-z]", body.replace(b"// Show", b""))


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "..%2Fcli.py", "no.js"])
def test_nothing_else_in_the_folder_or_out_of_it_is_served(name):
    assert get(f"/docs/{name}")[0] == 404


def test_the_licences_lie_beside_what_is_vendored():
    names = {file.name for file in docs.FOLDER.iterdir()}
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt", "README.md"} <= names


def test_the_way_in_leads_to_it_below_any_prefix():
    status, headers, _ = get("/docs")
    assert (status, headers["Location"]) == (302, "docs/")
