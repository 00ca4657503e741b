"""How streamed responses are read, and how they end."""

import asyncio

import pytest
from fakes import pods
from fakes.answering_pod import CARD, SHEET, AnsweringPod

from flamingo import AsyncFlamingoClient, FlamingoClient
from flamingo_common import errors

AUDIO = b"RIFF....WAVE, let us say"


def read_stream(pod, method="stream_caption", source=AUDIO):
    """Return the deltas of a stream from `pod`, what it raised, and the stream."""

    async def scenario():
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            stream, deltas = getattr(client, method)(source), []
            try:
                async for text in stream:
                    deltas.append(text)  # noqa: PERF401 - what came before an error counts
            except errors.FlamingoError as error:
                return deltas, error, stream
            return deltas, None, stream

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "source"),
    [("stream_caption", AUDIO), ("stream_chat", [{"role": "user", "content": "Hello"}])],
)
def test_stream_yields_deltas_and_then_has_a_finish_reason(method, source):
    deltas, error, stream = read_stream(pods.FakePod(), method, source)

    assert deltas == ["a ", "quiet ", "song"]
    assert (error, stream.finish_reason) == (None, "stop")


def test_streamed_caption_ends_with_its_usage():
    _, _, stream = read_stream(pods.FakePod())

    assert stream.usage == pods.USAGE


def test_interrupted_stream_raises_and_is_not_retried():
    pod = pods.FakePod(aborts_after_words=2)

    deltas, error, _ = read_stream(pod)

    assert deltas == ["a ", "quiet "]
    assert type(error) is errors.UpstreamLost
    assert error.request_id.startswith("req-")
    assert len(pod.received) == 1


def test_error_event_is_raised_as_its_own_class():
    class FailingPod(pods.FakePod):
        def _last_chunk(self, _):
            return errors.to_body(errors.Draining("shutting down"))

    deltas, error, _ = read_stream(FailingPod())

    assert deltas == ["a ", "quiet ", "song"]
    assert (type(error), error.message) == (errors.Draining, "shutting down")


def test_error_before_a_stream_begins_is_retried():
    pod = pods.FakePod(num_failures=1, fails_with=errors.Overloaded("busy", retry_after_s=0))

    deltas, error, _ = read_stream(pod)

    assert (deltas, error, len(pod.received)) == (["a ", "quiet ", "song"], None, 2)


class PeerPod(pods.FakePod):
    """A pod that records the connection of each request."""

    def __init__(self):
        super().__init__()
        self.peers = []

    async def _answer(self, request):
        self.peers.append(request.transport.get_extra_info("peername"))
        return await super()._answer(request)


def test_complete_stream_keeps_its_connection_for_the_next_request():
    async def scenario():
        pod = PeerPod()
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            for _ in range(2):
                assert [text async for text in client.stream_caption(AUDIO)]
        return pod.peers

    first, second = asyncio.run(scenario())
    assert first == second


class EndlessPod(pods.FakePod):
    """A pod that generates until the client disconnects."""

    def __init__(self):
        super().__init__(words=("word ",) * 10**7)
        self.ended = asyncio.Event()

    async def _stream(self, request):
        try:
            return await super()._stream(request)
        finally:
            self.ended.set()


def test_closing_a_stream_cancels_the_request_and_the_generation():
    async def scenario():
        pod = EndlessPod()
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            async with client.stream_caption(AUDIO) as stream:
                first = await anext(stream)
            await pod.ended.wait()
            return first, [text async for text in stream]

    assert asyncio.run(scenario()) == ("word ", [])


QUESTIONS = {"mood": "What is the mood?", "late": "fail"}


def test_answers_to_questions_come_together_and_are_whole_at_the_end():
    async def scenario():
        async with (
            pods.running(AnsweringPod()) as address,
            AsyncFlamingoClient(address) as client,
            client.stream_analyze(
                AUDIO, questions=QUESTIONS, recipes=["card"], pooling="none", temperature=0
            ) as stream,
        ):
            return [delta async for delta in stream], stream

    deltas, stream = asyncio.run(scenario())

    texts = dict.fromkeys(("mood", "late", "card"), "")
    for delta in deltas:
        texts[delta.name] += delta.text
    assert [delta.name for delta in deltas[:3]] == ["mood", "late", "card"], (
        "none waits for another"
    )
    assert texts == {name: one.content for name, one in stream.answers.items()} | {"late": "ca"}
    assert [delta.answer for delta in deltas[-3:]] == [*stream.answers.values()]
    assert stream.answers["card"].parsed == CARD
    assert stream.answers["late"].error.code == "answer_incomplete"
    assert (stream.usage, stream.embedding.shape) == (pods.USAGE, (2, 2))


def test_a_question_and_an_analysis_are_streamed_to_synchronous_code_too():
    with pods.served(AnsweringPod()) as address, FlamingoClient(address) as client:
        assert list(client.stream_ask(AUDIO, "Which key?")) == ["a ", "quiet ", "song"]
        with client.stream_analyze(AUDIO, recipes=["lyrics"]) as stream:
            assert "".join(delta.text for delta in stream) == SHEET
            assert stream.answers["lyrics"].sections[1].name == "Chorus"
            assert (stream.usage, stream.finish_reason) == (pods.USAGE, None)
        with client.stream_analyze(AUDIO, recipes=["lyrics"]) as stream:
            assert next(stream).text == "[V"
        assert client.ask(AUDIO, "Which key?").text == "a quiet song", "a closed stream blocks none"


def test_questions_that_are_none_are_refused_when_the_stream_is_made():
    client = FlamingoClient("http://127.0.0.1:1")
    with client, pytest.raises(errors.BadRequest, match="there are no questions"):
        client.stream_analyze(AUDIO, questions={})
