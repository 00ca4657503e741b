"""Fetching a clip from a URL: what comes, and what must never be reached. Real sockets."""

import asyncio
import gzip
from ipaddress import ip_network

import pytest
from aiohttp import web
from fakes.sites import site

from flamingo_common.errors import BadRequest, MediaFetchFailed, RequestTooLarge
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import MemoryBudget

LOOPBACK = [ip_network("127.0.0.1/32")]
METADATA = "http://169.254.169.254/latest/meta-data/"


def fetch(handler, path="/clip.mp3", *, networks=LOOPBACK, **changes):
    async def scenario():
        async with site(handler) as address:
            return await fetched(address + path, networks=networks, **changes)

    return asyncio.run(scenario())


async def fetched(url, *, budget_bytes=10**6, etag="", **changes):
    fields = {"is_enabled": True, "networks": [], "timeout_s": 5.0, "hosts": (), "max_bytes": 1000}
    fetcher = Fetcher(**(fields | {"slots": asyncio.Semaphore(4)} | changes))
    with MemoryBudget(budget_bytes).reservation() as reservation:
        found = await fetcher.fetch_if_changed(url, etag, reservation)
        if found is None:
            return None
        with found.file.address.open("rb") as opened:
            return opened.read()


async def clip(_):
    return web.Response(body=b"fLaC")


def test_a_clip_is_fetched_from_an_allowed_network():
    assert fetch(clip) == b"fLaC"


def test_loopback_is_not_reached_unless_allowed():
    reached = []

    async def handler(request):
        reached.append(request.path)
        return web.Response(body=b"secret")

    with pytest.raises(MediaFetchFailed, match="its address is not allowed"):
        fetch(handler, networks=[])
    assert reached == []


def test_a_name_is_checked_by_the_address_it_resolves_to():
    async def scenario():
        async with site(clip) as address:
            url = address.replace("127.0.0.1", "localhost")
            return await fetched(url)

    with pytest.raises(MediaFetchFailed, match="its address is not allowed"):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    "target", [METADATA, "http://127.0.0.2/", "http://[::1]/", "http://0x7f000002/"]
)
def test_a_redirect_is_checked_like_the_first_address(target):
    async def handler(_):
        raise web.HTTPFound(target)

    with pytest.raises(MediaFetchFailed):
        fetch(handler)


def test_a_redirect_to_another_scheme_is_not_followed():
    async def handler(_):
        raise web.HTTPFound("file:///etc/passwd")

    with pytest.raises(MediaFetchFailed):
        fetch(handler)


def test_a_redirect_loop_ends():
    hops = []

    async def handler(request):
        hops.append(request.path)
        raise web.HTTPFound("/again")

    with pytest.raises(MediaFetchFailed):
        fetch(handler)
    assert len(hops) <= 4


def test_the_message_has_the_status_of_an_error_response():
    async def handler(_):
        return web.Response(status=403, text="who are you")

    with pytest.raises(MediaFetchFailed, match="status 403"):
        fetch(handler)


def test_too_many_bytes_end_the_fetch():
    async def handler(_):
        return web.Response(body=b"x" * 1001)

    with pytest.raises(RequestTooLarge, match="1000 bytes"):
        fetch(handler)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "zstd", "identity, gzip", "x-nothing"])
def test_a_packed_clip_is_refused_and_not_unpacked(coding):
    asked = []

    async def handler(request):
        asked.append(request.headers["Accept-Encoding"])
        bomb = gzip.compress(b"\0" * 10**6)
        return web.Response(body=bomb, headers={"Content-Encoding": coding})

    with pytest.raises(MediaFetchFailed, match="only identity is accepted") as caught:
        fetch(handler, max_bytes=10_000)
    assert coding.lower().removeprefix("identity, ") in str(caught.value)
    assert asked == ["identity"]


def test_a_clip_with_the_coding_identity_is_fetched():
    async def handler(_):
        return web.Response(body=b"fLaC", headers={"Content-Encoding": "identity"})

    assert fetch(handler) == b"fLaC"


def test_a_server_that_never_responds_times_out():
    async def handler(_):
        await asyncio.Event().wait()

    with pytest.raises(MediaFetchFailed, match=r"0\.2 s"):
        fetch(handler, timeout_s=0.2)


@pytest.mark.parametrize(
    "url", ["ftp://example.org/a", "file:///etc/passwd", "clip.mp3", "http://", "//x"]
)
def test_a_url_that_is_not_http_is_rejected(url):
    with pytest.raises(BadRequest, match="http"):
        asyncio.run(fetched(url))


def test_fetching_can_be_disabled():
    with pytest.raises(BadRequest, match="does not fetch audio from URLs"):
        asyncio.run(fetched("https://example.org/a.mp3", is_enabled=False))


def test_what_is_not_modified_is_not_loaded_and_what_was_not_asked_for_is_an_error():
    async def handler(_):
        return web.Response(status=304, headers={"ETag": '"a"'})

    async def scenario(etag):
        async with site(handler) as address:
            return await fetched(f"{address}/clip.mp3", networks=LOOPBACK, etag=etag)

    assert asyncio.run(scenario('"a"')) is None
    with pytest.raises(MediaFetchFailed, match="status 304"):
        asyncio.run(scenario(""))


def test_an_etag_does_not_open_an_address_that_is_not_allowed():
    async def scenario():
        async with site(clip) as address:
            return await fetched(f"{address}/clip.mp3", etag='"a"')

    with pytest.raises(MediaFetchFailed, match="its address is not allowed"):
        asyncio.run(scenario())
