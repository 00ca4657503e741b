"""The synchronous client."""

import asyncio
import gc
import inspect
import pickle
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from fakes import pods
from fakes.pods import served

from flamingo import AsyncFlamingoClient, FlamingoClient
from flamingo_common import errors

AUDIO = b"RIFF....WAVE, let us say"


def client_threads():
    threads = threading.enumerate()
    return [one for one in threads if one.name == "flamingo-client" and one.is_alive()]


def test_each_method_returns_what_the_asynchronous_one_does():
    pod = pods.FakePod()

    with served(pod) as address, FlamingoClient(address) as client:
        assert client.caption(AUDIO).caption == "a quiet song"
        assert client.ask(AUDIO, "Which key?").text == "a quiet song"
        assert client.chat([{"role": "user", "content": "Hello"}]).text == "a quiet song"
        assert client.embed(AUDIO).embedding.shape == (2, 2)
        assert client.analyze(AUDIO).caption == "a quiet song"
        assert [card.id for card in client.models()] == ["fake"]
        with pytest.raises(errors.NotFound):
            client.fleet()


def test_stream_is_an_ordinary_iterator():
    with served(pods.FakePod()) as address, FlamingoClient(address) as client:
        stream = client.stream_caption(AUDIO)

        assert list(stream) == ["a ", "quiet ", "song"]
        assert (stream.finish_reason, stream.usage) == ("stop", pods.USAGE)


def test_closing_a_stream_early_leaves_the_client_usable():
    pod = pods.FakePod(words=("word ",) * 100_000)

    with served(pod) as address, FlamingoClient(address) as client:
        with client.stream_caption(AUDIO) as stream:
            assert next(stream) == "word "
        pod.words = ("done",)
        assert client.caption(AUDIO).caption == "done"


def test_client_works_inside_a_running_event_loop_as_in_jupyter():
    async def cell(address):
        with FlamingoClient(address) as client:
            return client.caption(AUDIO).caption

    with served(pods.FakePod()) as address:
        assert asyncio.run(cell(address)) == "a quiet song"


def test_threads_share_one_client():
    pod = pods.FakePod()

    with (
        served(pod) as address,
        FlamingoClient(address) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(lambda _: client.caption(AUDIO).caption, range(32)))

    assert answers == ["a quiet song"] * 32


def test_client_made_in_another_thread_works_there():
    with served(pods.FakePod()) as address, ThreadPoolExecutor(1) as thread:
        client = thread.submit(FlamingoClient, address).result()
        assert thread.submit(client.caption, AUDIO).result().caption == "a quiet song"
        client.close()


def test_pickled_client_is_made_anew_from_its_arguments():
    pod = pods.FakePod()

    with (
        served(pod) as address,
        FlamingoClient(address, api_key="sk-1", max_retries=7) as client,
        pickle.loads(pickle.dumps(client)) as copy,
    ):
        assert copy.caption(AUDIO).caption == "a quiet song"

    assert pod.header_values("authorization") == ["Bearer sk-1"]


@pytest.mark.parametrize("method", ["caption", "decisions", "models"])
def test_a_call_with_wrong_arguments_raises_and_does_not_hang(method):
    with FlamingoClient("http://127.0.0.1:9") as client:
        with pytest.raises(TypeError, match="argument"):
            getattr(client, method)(max_token=4)
        with pytest.raises(TypeError, match="argument"):
            client.batches.create(max_token=4)


def test_closed_client_leaves_no_thread_and_raises():
    client = FlamingoClient("http://127.0.0.1:1")

    client.close()
    client.close()

    assert client_threads() == []
    with pytest.raises(RuntimeError, match="is closed"):
        client.models()


def test_garbage_collected_client_closes_itself():
    client = FlamingoClient("http://127.0.0.1:1")
    dropped = weakref.ref(client)

    del client
    gc.collect()

    assert dropped() is None
    assert client_threads() == []


def test_closing_cancels_the_requests_of_other_threads():
    class SilentPod(pods.FakePod):
        arrived = threading.Event()

        async def _answer(self, request):
            self.arrived.set()
            await asyncio.Event().wait()

    pod = SilentPod()
    with served(pod) as address, ThreadPoolExecutor(1) as thread:
        client = FlamingoClient(address)
        waiting = thread.submit(client.caption, AUDIO)
        pod.arrived.wait()
        client.close()
        with pytest.raises(CancelledError):
            waiting.result()


PUBLIC = [
    name
    for name, member in inspect.getmembers(AsyncFlamingoClient, inspect.isfunction)
    if not name.startswith("_") and name != "aclose"
]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_method_exists_with_its_signature_and_docstring(name):
    original, blocking = getattr(AsyncFlamingoClient, name), getattr(FlamingoClient, name)

    assert inspect.signature(blocking) == inspect.signature(original)
    assert blocking.__doc__ == original.__doc__
