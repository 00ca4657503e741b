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

    message = r"^cannot download http://127\.0\.0\.1:1/a\.mp3: connection refused$"
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
