"""How a clip is sent: in chunks, with the size that was announced."""

import asyncio
import contextlib
import tracemalloc

import pytest
from aiohttp import web

from flamingo import AsyncFlamingoClient
from flamingo_common import errors


@contextlib.asynccontextmanager
async def serving(handler):
    """Serve captions with this handler on a free port of loopback; yield the address."""
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/audio/captions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def caption_by(handler, path):
    async def scenario():
        async with (
            serving(handler) as address,
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
