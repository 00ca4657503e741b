"""What the client raises, when it retries, and how it treats servers that are not pods."""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from fakes import pods
from fakes.one_handler import responding, serving

from flamingo import AsyncFlamingoClient, CannotConnect, TimedOut, UnexpectedResponse
from flamingo.client import transport
from flamingo_common import errors

AUDIO = b"RIFF....WAVE, let us say"


class ClosingPod(pods.FakePod):
    """A pod that closes the first connection before it responds."""

    async def _answer(self, request):
        if not self.received:
            self.received.append(pods.Received(request.path, dict(request.headers), b""))
            request.transport.abort()
        return await super()._answer(request)


def caption(pod, **options):
    """Return the caption by `pod`, and the delays between attempts."""
    delays = []

    async def sleep(seconds):
        delays.append(seconds)

    async def scenario():
        async with (
            pods.running(pod) as address,
            AsyncFlamingoClient(address, sleep=sleep, **options) as client,
        ):
            return (await client.caption(AUDIO)).caption

    return asyncio.run(scenario()), delays


def caption_by(handler, audio=AUDIO):
    """Request a caption from a server with this handler."""

    async def scenario():
        async with (
            serving("/v1/audio/captions", handler) as address,
            AsyncFlamingoClient(address, max_retries=0) as client,
        ):
            return await client.caption(audio)

    return asyncio.run(scenario())


@pytest.mark.parametrize("kind", sorted(errors.BY_CODE.values(), key=lambda kind: kind.code))
def test_server_error_is_raised_as_the_same_class(kind):
    pod = pods.FakePod(fails_with=kind("why it failed", param="audio"))

    with pytest.raises(errors.FlamingoError) as caught:
        caption(pod, max_retries=0)

    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.param) == ("why it failed", "audio")
    assert caught.value.request_id.startswith("req-")


def test_retry_follows_retry_after():
    busy = errors.Overloaded("busy", retry_after_s=1.25)
    pod = pods.FakePod(num_failures=2, fails_with=busy)

    assert caption(pod) == ("a quiet song", [1.25, 1.25])
    assert len({received.sha256 for received in pod.received}) == 3  # boundaries differ,
    assert all(AUDIO in received.body for received in pod.received)  # the clip does not


def test_without_retry_after_the_delay_grows():
    pod = pods.FakePod(num_failures=2, fails_with=errors.ModelLoading("loading"))

    _, [first, second] = caption(pod)

    assert 0.375 <= first <= 0.5
    assert 0.75 <= second <= 1


def test_last_error_is_raised_after_max_retries():
    pod = pods.FakePod(fails_with=errors.Overloaded("busy"))

    with pytest.raises(errors.Overloaded):
        caption(pod, max_retries=3)

    assert len(pod.received) == 4


def test_permanent_error_is_not_retried():
    pod = pods.FakePod(fails_with=errors.AudioTooLong("25 minutes"))

    with pytest.raises(errors.AudioTooLong):
        caption(pod)

    assert len(pod.received) == 1


def test_connection_closed_before_a_response_is_retried():
    pod = ClosingPod()

    text, delays = caption(pod)

    assert (text, len(delays), len(pod.received)) == ("a quiet song", 1, 2)


def test_refused_connection_is_reported_with_what_to_do():
    async def scenario():
        async with AsyncFlamingoClient("http://127.0.0.1:1/v1", max_retries=0) as client:
            await client.models()

    with pytest.raises(CannotConnect, match=r"127\.0\.0\.1:1 \(connection refused\).*flamingo up"):
        asyncio.run(scenario())


def test_silent_server_times_out():
    async def scenario():
        pod = pods.FakePod(release=asyncio.Event())
        async with (
            pods.running(pod) as address,
            AsyncFlamingoClient(address, timeout_s=0.1) as client,
        ):
            with pytest.raises(TimedOut, match=r"sent no data for 0\.1 s"):
                await client.caption(AUDIO)
        return len(pod.received), pod.num_cancelled

    assert asyncio.run(scenario()) == (1, 1)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        pytest.param({"text": "<html>"}, "body: Invalid JSON", id="a web page"),
        pytest.param({"text": '{"caption": "x"}'}, "id: Field required", id="another API"),
    ],
)
def test_response_of_another_kind_of_server_is_unexpected(response, reason):
    with pytest.raises(UnexpectedResponse, match=f"unexpected response from http.*{reason}"):
        caption_by(responding(**response))


def test_redirect_is_reported_and_not_followed():
    moved = responding(status=301, headers={"Location": "https://music.example/"})

    with pytest.raises(UnexpectedResponse, match=r"redirect to https://music\.example/"):
        caption_by(moved)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(502, errors.UpstreamLost, id="bad gateway"),
        pytest.param(503, errors.Unavailable, id="unavailable"),
        pytest.param(413, errors.RequestTooLarge, id="too large"),
    ],
)
def test_error_page_of_a_proxy_is_raised_by_its_status(status, kind):
    page = responding(status=status, text="<h1>nginx</h1>", content_type="text/html")

    with pytest.raises(kind, match=f"HTTP {status}: nginx .text/html is not what a Flamingo") as it:
        caption_by(page)
    assert type(it.value) is kind


@pytest.mark.parametrize("status", [404, 405])
def test_page_of_a_server_without_this_route_is_unexpected_instead_of_not_found(status):
    page = responding(status=status, text="<title>Not here</title>", content_type="text/html")

    with pytest.raises(UnexpectedResponse, match=f"HTTP {status}: Not here .*check the URL"):
        caption_by(page)


def test_page_instead_of_a_stream_is_unexpected():
    async def scenario():
        page = responding(text="<h1>Log in</h1>", content_type="text/html")
        async with (
            serving("/v1/audio/captions", page) as address,
            AsyncFlamingoClient(address) as client,
        ):
            return [text async for text in client.stream_caption(AUDIO)]

    with pytest.raises(UnexpectedResponse, match=r"not a stream of events: text/html is not"):
        asyncio.run(scenario())


def test_response_that_is_too_large_is_not_read_to_its_end():
    async def scenario():
        async with (
            serving("/", responding(body=bytes(2**22))) as address,
            aiohttp.ClientSession() as session,
            session.get(address) as response,
        ):
            return await transport.read_limited(response, 2**20)

    with pytest.raises(UnexpectedResponse, match="exceeds 1048576 bytes"):
        asyncio.run(scenario())


def test_error_that_arrives_during_the_upload_is_raised(tmp_path):
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
