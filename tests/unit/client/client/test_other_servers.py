"""The client against servers that are not pods: stores, routers, proxies, strangers."""

import asyncio
import contextlib
import tracemalloc

import pytest
from aiohttp import web
from fakes import pods

from flamingo import AsyncFlamingoClient, UnexpectedAnswer
from flamingo_common import errors
from flamingo_common.wire import MAX_BODY_BYTES

AUDIO = b"RIFF....WAVE, let us say"


@contextlib.asynccontextmanager
async def serving(path, handler):
    """Serve `handler` at `path` on a free port of loopback; yield the address."""
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def answering(**response):
    async def handler(_):
        return web.Response(**response)

    return handler


def caption_by(handler, audio=AUDIO):
    """Ask the server that is `handler` for a caption."""

    async def scenario():
        async with (
            serving("/v1/audio/captions", handler) as address,
            AsyncFlamingoClient(address, max_retries=0) as client,
        ):
            return await client.caption(audio)

    return asyncio.run(scenario())


def caption_of_url(handler, path="/a/song.mp3?signature=s3cret"):
    """Caption what the store that is `handler` holds; return what the pod received."""
    pod = pods.FakePod()

    async def scenario():
        async with (
            serving("/a/{name}", handler) as store,
            pods.running(pod) as address,
            AsyncFlamingoClient(address, api_key="sk-1") as client,
        ):
            await client.caption(store + path)

    asyncio.run(scenario())
    return pod.received[0]


def test_url_is_downloaded_and_uploaded_under_its_own_name():
    received = caption_of_url(answering(body=AUDIO))

    assert AUDIO in received.body
    assert b'filename="song.mp3"' in received.body


def test_fleets_key_is_not_given_to_the_host_of_a_url():
    seen = []

    async def store(request):
        seen.append(dict(request.headers))
        return web.Response(body=AUDIO)

    received = caption_of_url(store)

    assert received.headers["Authorization"] == "Bearer sk-1"
    assert "Authorization" not in seen[0]


def test_url_that_cannot_be_fetched_is_told_without_its_signature():
    with pytest.raises(errors.MediaFetchFailed, match=r"song\.mp3 answered 403") as caught:
        caption_of_url(answering(status=403))

    assert "s3cret" not in caught.value.message


def test_url_of_a_host_that_is_down_is_told_with_its_address():
    async def scenario():
        async with AsyncFlamingoClient() as client:
            await client.caption("http://127.0.0.1:1/a.mp3?k=s3cret")

    told = r"^http://127\.0\.0\.1:1/a\.mp3 cannot be fetched: connection refused$"
    with pytest.raises(errors.MediaFetchFailed, match=told):
        asyncio.run(scenario())


def test_download_that_never_ends_is_cut_off():
    async def store(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(2**22))
        return response

    with pytest.raises(errors.RequestTooLarge, match=str(MAX_BODY_BYTES)):
        caption_of_url(store)


def test_empty_download_is_no_audio():
    with pytest.raises(errors.InvalidAudio, match=r"song\.mp3: it is empty"):
        caption_of_url(answering(body=b""))


def test_fleet_is_read_from_a_router():
    endpoint = {"address": "http://a", "ready": True, "backlog_s": 1.5, "num_open": 2}
    report = {"endpoints": [{**endpoint, "load": None, "from_a_newer_router": 1}]}

    async def fleet(_):
        return web.json_response(report)

    async def scenario():
        async with (
            serving("/fleet", fleet) as router,
            AsyncFlamingoClient(router) as client,
        ):
            return await client.fleet()

    assert asyncio.run(scenario()).endpoints[0].backlog_s == 1.5


@pytest.mark.parametrize(
    ("response", "why"),
    [
        pytest.param({"text": "<html>"}, "body: Invalid JSON", id="a web page"),
        pytest.param({"text": '{"caption": "x"}'}, "id: Field required", id="another API"),
    ],
)
def test_answer_of_another_kind_of_server_is_told_as_that(response, why):
    with pytest.raises(UnexpectedAnswer, match=f"does not answer as a Flamingo.*{why}"):
        caption_by(answering(**response))


def test_redirect_is_told_not_followed():
    moved = answering(status=301, headers={"Location": "https://music.example/"})

    with pytest.raises(UnexpectedAnswer, match=r"redirects to https://music\.example/"):
        caption_by(moved)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(502, errors.UpstreamLost, id="bad gateway"),
        pytest.param(503, errors.Unavailable, id="unavailable"),
        pytest.param(413, errors.RequestTooLarge, id="too large"),
    ],
)
def test_proxys_own_page_is_still_an_error_of_the_right_family(status, kind):
    with pytest.raises(kind, match=f"HTTP {status}: <h1>nginx</h1>"):
        caption_by(answering(status=status, text="<h1>nginx</h1>"))


def test_refusal_while_the_clip_is_still_being_sent_is_heard(tmp_path):
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)

    async def refuse(request):
        await request.content.readany()
        return web.json_response(
            errors.to_body(errors.Overloaded("busy")), status=429, headers={"retry-after-ms": "250"}
        )

    with pytest.raises(errors.Overloaded, match="busy") as caught:
        caption_by(refuse, path)
    assert caught.value.retry_after_s == 0.25


def test_file_that_shrinks_while_it_is_sent_is_told(tmp_path):
    path = tmp_path / "recording.wav"
    path.write_bytes(bytes(2**24))

    async def read(request):
        path.write_bytes(b"")
        await request.read()
        return web.Response()

    with pytest.raises(errors.InvalidAudio, match=r"recording\.wav became shorter"):
        caption_by(read, path)


def test_large_file_is_streamed_in_bounded_memory(tmp_path):
    size_bytes = 200 * 2**20
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(size_bytes)
    arrived = []

    async def count(request):
        num_bytes = 0
        async for chunk in request.content.iter_any():
            num_bytes += len(chunk)
        arrived.append(num_bytes)
        return web.Response(status=400)

    tracemalloc.start()
    try:
        with pytest.raises(errors.BadRequest):
            caption_by(count, path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert arrived[0] > size_bytes
    assert peak_bytes < 16 * 2**20
