"""What the client raises, when it tries again, and how streams end."""

import asyncio

import pytest
from fakes import pods

from flamingo import AsyncFlamingoClient, CannotConnect, TimedOut
from flamingo_common import errors

AUDIO = b"RIFF....WAVE, let us say"


class HangingUpPod(pods.FakePod):
    """A pod that closes the connection before it answers, once."""

    async def _answer(self, request):
        if not self.received:
            self.received.append(pods.Received(request.path, dict(request.headers), b""))
            request.transport.abort()
        return await super()._answer(request)


def caption(pod, **options):
    """Return the caption by `pod`, and how long the client slept between attempts."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async def scenario():
        async with (
            pods.running(pod) as address,
            AsyncFlamingoClient(address, sleep=sleep, **options) as client,
        ):
            return (await client.caption(AUDIO)).caption

    return asyncio.run(scenario()), slept


@pytest.mark.parametrize("kind", sorted(errors.BY_CODE.values(), key=lambda kind: kind.code))
def test_servers_error_is_raised_as_the_same_class(kind):
    pod = pods.FakePod(fails_with=kind("why it failed", param="audio"))

    with pytest.raises(errors.FlamingoError) as caught:
        caption(pod, max_retries=0)

    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.param) == ("why it failed", "audio")
    assert caught.value.request_id.startswith("req-")


def test_busy_fleet_is_asked_again_when_it_said():
    busy = errors.Overloaded("busy", retry_after_s=1.25)
    pod = pods.FakePod(num_failures=2, fails_with=busy)

    assert caption(pod) == ("a quiet song", [1.25, 1.25])
    assert len({received.sha256 for received in pod.received}) == 3  # boundaries differ,
    assert all(AUDIO in received.body for received in pod.received)  # the clip does not


def test_without_a_word_from_the_server_the_wait_grows():
    pod = pods.FakePod(num_failures=2, fails_with=errors.ModelLoading("loading"))

    _, [first, second] = caption(pod)

    assert 0.375 <= first <= 0.5
    assert 0.75 <= second <= 1


def test_patience_ends_with_the_servers_last_word():
    pod = pods.FakePod(fails_with=errors.Overloaded("busy"))

    with pytest.raises(errors.Overloaded):
        caption(pod, max_retries=3)

    assert len(pod.received) == 4


def test_what_cannot_succeed_is_asked_once():
    pod = pods.FakePod(fails_with=errors.AudioTooLong("25 minutes"))

    with pytest.raises(errors.AudioTooLong):
        caption(pod)

    assert len(pod.received) == 1


def test_connection_that_ends_before_an_answer_is_made_again():
    pod = HangingUpPod()

    text, slept = caption(pod)

    assert (text, len(slept), len(pod.received)) == ("a quiet song", 1, 2)


def test_address_where_nobody_listens_is_told_with_what_to_do():
    async def scenario():
        async with AsyncFlamingoClient("http://127.0.0.1:1/v1", max_retries=0) as client:
            await client.models()

    with pytest.raises(CannotConnect, match=r"127\.0\.0\.1:1 \(connection refused\).*flamingo up"):
        asyncio.run(scenario())


def test_server_that_says_nothing_is_given_up():
    async def scenario():
        pod = pods.FakePod(hold=asyncio.Event())
        async with (
            pods.running(pod) as address,
            AsyncFlamingoClient(address, timeout_s=0.1) as client,
        ):
            with pytest.raises(TimedOut, match=r"sent nothing for 0\.1 s"):
                await client.caption(AUDIO)
        return len(pod.received), pod.num_cancelled

    assert asyncio.run(scenario()) == (1, 1)


def stream(pod, method="stream_caption", source=AUDIO):
    """Return what a stream of `pod` gave, and what it raised, and the stream."""

    async def scenario():
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            words, text = getattr(client, method)(source), []
            try:
                async for each in words:
                    text.append(each)  # noqa: PERF401 - what came before an error counts
            except errors.FlamingoError as error:
                return text, error, words
            return text, None, words

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "source"),
    [("stream_caption", AUDIO), ("stream_chat", [{"role": "user", "content": "Hello"}])],
)
def test_words_come_one_by_one_and_then_the_reason(method, source):
    text, error, words = stream(pods.FakePod(), method, source)

    assert text == ["a ", "quiet ", "song"]
    assert (error, words.finish_reason) == (None, "stop")


def test_streamed_caption_ends_with_its_usage():
    _, _, words = stream(pods.FakePod())

    assert words.usage == pods.USAGE


def test_stream_that_is_cut_is_never_passed_off_as_whole_nor_tried_again():
    pod = pods.FakePod(dies_after_words=2)

    text, error, _ = stream(pod)

    assert text == ["a ", "quiet "]
    assert type(error) is errors.UpstreamLost
    assert error.request_id.startswith("req-")
    assert len(pod.received) == 1


def test_error_in_a_stream_is_raised_as_its_own_class():
    class FailingPod(pods.FakePod):
        def _last_chunk(self, _):
            return errors.to_body(errors.Draining("going away"))

    text, error, _ = stream(FailingPod())

    assert text == ["a ", "quiet ", "song"]
    assert (type(error), error.message) == (errors.Draining, "going away")


def test_refusal_before_a_stream_begins_is_tried_again():
    pod = pods.FakePod(num_failures=1, fails_with=errors.Overloaded("busy", retry_after_s=0))

    text, error, _ = stream(pod)

    assert (text, error, len(pod.received)) == (["a ", "quiet ", "song"], None, 2)


class PeerPod(pods.FakePod):
    """A pod that remembers which connections its requests came by."""

    def __init__(self):
        super().__init__()
        self.peers = []

    async def _answer(self, request):
        self.peers.append(request.transport.get_extra_info("peername"))
        return await super()._answer(request)


def test_stream_read_to_its_end_leaves_the_connection_whole():
    async def scenario():
        pod = PeerPod()
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            for _ in range(2):
                assert [text async for text in client.stream_caption(AUDIO)]
        return pod.peers

    first, second = asyncio.run(scenario())
    assert first == second


class EndlessPod(pods.FakePod):
    """A pod that talks until nobody listens."""

    def __init__(self):
        super().__init__(words=("word ",) * 10**7)
        self.ended = asyncio.Event()

    async def _stream(self, request):
        try:
            return await super()._stream(request)
        finally:
            self.ended.set()


def test_leaving_a_stream_ends_the_request_and_the_servers_work():
    async def scenario():
        pod = EndlessPod()
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            async with client.stream_caption(AUDIO) as words:
                first = await anext(words)
            await pod.ended.wait()
            return first, [text async for text in words]

    assert asyncio.run(scenario()) == ("word ", [])
