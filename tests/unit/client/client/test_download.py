"""Clips that the client downloads from a URL."""

import asyncio
import contextlib

import pytest
from aiohttp import web
from fakes import pods
from fakes.one_handler import responding, serving

from flamingo import AsyncFlamingoClient
from flamingo_common import errors
from flamingo_common.wire import MAX_BODY_BYTES

AUDIO = b"RIFF....WAVE, let us say"


def caption_of_url(handler, path="/a/song.mp3?signature=s3cret"):
    """Caption a clip from a file server with this handler; return what the pod received."""
    pod = pods.FakePod()

    async def scenario():
        async with (
            serving("/a/{name}", handler) as server,
            pods.running(pod) as address,
            AsyncFlamingoClient(address, api_key="sk-1") as client,
        ):
            await client.caption(server + path)

    asyncio.run(scenario())
    return pod.received[0]


def test_url_is_downloaded_and_uploaded_under_its_file_name():
    received = caption_of_url(responding(body=AUDIO))

    assert AUDIO in received.body
    assert b'filename="song.mp3"' in received.body


def test_api_key_is_not_sent_to_the_host_of_a_url():
    seen = []

    async def record(request):
        seen.append(dict(request.headers))
        return web.Response(body=AUDIO)

    received = caption_of_url(record)

    assert received.headers["Authorization"] == "Bearer sk-1"
    assert "Authorization" not in seen[0]


def test_failed_download_is_reported_without_the_signature():
    with pytest.raises(errors.MediaFetchFailed, match=r"song\.mp3 returned HTTP 403") as caught:
        caption_of_url(responding(status=403))

    assert "s3cret" not in caught.value.message


def test_unreachable_host_of_a_url_is_reported_with_its_address():
    async def scenario():
        async with AsyncFlamingoClient() as client:
            await client.caption("http://127.0.0.1:1/a.mp3?k=s3cret")

    refused = r"127\.0\.0\.1 refused the connection to port 1"
    message = rf"^cannot download http://127\.0\.0\.1:1/a\.mp3: {refused}$"
    with pytest.raises(errors.MediaFetchFailed, match=message):
        asyncio.run(scenario())


def test_unknown_host_of_a_url_is_named():
    async def scenario():
        async with AsyncFlamingoClient() as client:
            await client.caption("http://no-such-host.invalid/a.mp3")

    message = r"the host no-such-host\.invalid could not be resolved"
    with pytest.raises(errors.MediaFetchFailed, match=message):
        asyncio.run(scenario())


def test_endless_download_is_aborted():
    async def send_forever(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(2**22))
        return response

    with pytest.raises(errors.RequestTooLarge, match=str(MAX_BODY_BYTES)):
        caption_of_url(send_forever)


def test_empty_download_is_invalid_audio():
    with pytest.raises(errors.InvalidAudio, match=r"song\.mp3 is empty"):
        caption_of_url(responding(body=b""))


def test_redirects_of_a_url_are_followed_to_http_only():
    async def move(request):
        if request.match_info["name"] == "end.mp3":
            return web.Response(body=AUDIO)
        target = {"song.mp3": "end.mp3", "file.mp3": "file:///etc/passwd"}
        raise web.HTTPFound(target.get(request.match_info["name"], request.path))

    assert AUDIO in caption_of_url(move).body
    with pytest.raises(errors.MediaFetchFailed, match="neither http nor https"):
        caption_of_url(move, "/a/file.mp3")
    with pytest.raises(errors.MediaFetchFailed, match="redirects more than 10 times"):
        caption_of_url(move, "/a/loop.mp3")


def test_size_that_is_announced_is_compared_before_the_download():
    async def announce(request):
        response = web.StreamResponse()
        response.content_length = MAX_BODY_BYTES + 1
        await response.prepare(request)
        await asyncio.Event().wait()

    with pytest.raises(errors.RequestTooLarge, match=r"song\.mp3 exceeds the limit of"):
        caption_of_url(announce)


@pytest.mark.parametrize("url", ["http://[::1/a.mp3", "http://a:99999/b.mp3", "http:///c.mp3"])
def test_invalid_url_of_a_clip_is_reported(url):
    async def scenario():
        async with AsyncFlamingoClient() as client:
            await client.caption(url)

    with pytest.raises(errors.MediaFetchFailed, match="not a valid URL"):
        asyncio.run(scenario())
