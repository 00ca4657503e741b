"""How a clip is sent: in chunks, with the size that was announced."""

import asyncio
import errno
import os
import tracemalloc

import pytest
from aiohttp import web
from fakes.one_handler import serving

from flamingo import AsyncFlamingoClient
from flamingo.client import bodies
from flamingo.client.sources import Clip
from flamingo_common import errors


def caption_by(handler, path):
    async def scenario():
        async with (
            serving("/v1/audio/captions", handler) as address,
            AsyncFlamingoClient(address, max_retries=0) as client,
        ):
            return await client.caption(path)

    return asyncio.run(scenario())


def test_file_that_shrinks_during_the_upload_is_reported(tmp_path):
    path = tmp_path / "recording.wav"
    path.write_bytes(bytes(2**24))

    async def read(request):
        path.write_bytes(b"")
        await request.read()
        return web.Response()

    with pytest.raises(errors.InvalidAudio, match=r"recording\.wav was truncated while"):
        caption_by(read, path)


def test_large_file_is_streamed_in_bounded_memory(tmp_path):
    size_bytes = 200 * 2**20
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(size_bytes)
    received = []

    async def count(request):
        num_bytes = 0
        async for chunk in request.content.iter_any():
            num_bytes += len(chunk)
        received.append(num_bytes)
        return web.Response(status=400)

    tracemalloc.start()
    try:
        with pytest.raises(errors.BadRequest):
            caption_by(count, path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert received[0] > size_bytes
    assert peak_bytes < 16 * 2**20


def test_file_that_cannot_be_read_during_the_upload_is_reported():
    def fail(_offset, _num_bytes):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    body = bodies.ClipPayload(Clip("caf\udce9.wav", 9, fail))

    with pytest.raises(EOFError, match=r"caf\\xe9\.wav: input/output error"):
        asyncio.run(body.write(None))


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("song.mp3", "song.mp3"),
        ('a "b"\r\n.mp3', "a%20%22b%22%0D%0A.mp3"),
        ("caf\udce9 é", "caf%E9%20%C3%A9"),
        ("\ud800", "%3F"),
    ],
)
def test_name_is_sent_percent_encoded(name, parameter):
    assert bodies.filename_parameter(name) == parameter


@pytest.mark.parametrize("text", ["caf\udce9", "\ud83d", ["fine", {"x": "\udc80"}]])
def test_text_that_is_not_unicode_is_refused_with_its_field(text):
    with pytest.raises(errors.BadRequest, match=r"^prompt is not valid Unicode text") as caught:
        bodies.json_body({"style": "brief", "prompt": text})

    assert caught.value.message.isprintable()
    bodies.json_body({"prompt": "🎵 \\ud800"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_a_number_that_json_cannot_express_is_refused_with_its_field(value):
    with pytest.raises(errors.BadRequest, match="start must be finite") as refused:
        bodies.json_body({"max_tokens": 5, "start": value})
    assert refused.value.param == "start"
