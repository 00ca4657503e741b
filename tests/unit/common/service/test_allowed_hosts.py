"""By which names a server without keys may be called on loopback."""

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fakes.own_address import own_address

from flamingo_common.service import allowed_hosts, auth, http

LOCAL = [
    *("localhost", "localhost:8000", "LOCALHOST.", "studio.localhost:1", "mac", "mac:80"),
    *("127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000", "192.0.2.7", "[fe80::1%25eth0]:80"),
    *("mac.local", "gpu.internal:8000", "music.audio.svc", "music.audio.svc.cluster.local:80"),
    "",
]
PUBLIC = [
    *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"),
    *("evil.example.", "127.0.0.1.nip.io", "[", "user@evil.example", "localhost@evil.example"),
    *(
        "notlocal.example",
        "a.svc.example",
        "1.2.3.4.5",
        "xlocal.com:80",
        "[::1",
    ),
]


@pytest.mark.parametrize("host", LOCAL)
def test_addresses_and_local_names_are_allowed(host):
    assert allowed_hosts.is_allowed(host, ())


@pytest.mark.parametrize("host", PUBLIC)
def test_public_names_are_not(host):
    assert not allowed_hosts.is_allowed(host, ())


def status_of(host, *, hosts=(), key_file=None, listens_on="127.0.0.1"):
    async def hello(_):
        return web.Response(text="hello")

    async def scenario():
        app = http.create_app(max_body_bytes=1024)
        app.router.add_get("/hello", hello)
        auth.add_to(app, key_file, hosts)
        async with TestClient(TestServer(app, host=listens_on)) as client:
            answer = await client.get("/hello", headers={"Host": host})
            return answer.status, await answer.text()

    return asyncio.run(scenario())


def test_a_request_by_a_public_name_is_refused_with_what_helps():
    status, text = status_of("evil.example:8000")
    assert status == 403
    assert "'evil.example:8000'" in text
    assert "--allowed-hosts" in text
    assert json.loads(text)["error"]["code"] == "host_not_allowed"


def test_an_allowed_name_may_be_in_any_spelling():
    assert status_of("Music.Example.COM:443", hosts=["music.example.com."])[0] == 200


def test_without_loopback_names_do_not_matter():
    assert status_of("evil.example", listens_on=own_address())[0] == 200


def test_with_keys_names_do_not_matter(tmp_path):
    keys = {"keys": [{"name": "alice", "sha256": "0" * 64}]}
    (tmp_path / "keys.yaml").write_text(json.dumps(keys))
    assert status_of("evil.example", key_file=tmp_path / "keys.yaml")[0] == 401
