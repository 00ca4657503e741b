"""Batches of a service, over real sockets: pages, uploads, waiting, files."""

import asyncio
import io

import pytest
from aiohttp import web
from fakes import one_handler, pods
from fakes.scripted_batches import ScriptedBatches, scripted_batch

from flamingo import AsyncFlamingoClient, FlamingoClient
from flamingo_common import errors

MANY = [scripted_batch(f"batch_{number}") for number in range(250)]
LINES = b'{"custom_id": "a"}\n'


def served(service):
    pod = pods.FakePod()
    app = pod.app()
    service.add_to(app)
    return one_handler.serving_app(app)


def use(service, action, **options):
    """Return what an action with a client of the service returns."""

    async def scenario():
        async with served(service) as address, AsyncFlamingoClient(address, **options) as client:
            return await action(client.batches)

    return asyncio.run(scenario())


def test_all_pages_are_listed_or_as_many_as_are_wanted():
    service = ScriptedBatches(MANY)
    assert use(service, lambda batches: batches.list()) == MANY
    assert service.received == [
        "GET /v1/batches?limit=100",
        "GET /v1/batches?limit=100&after=batch_99",
        "GET /v1/batches?limit=100&after=batch_199",
    ]
    service.received.clear()
    assert use(service, lambda batches: batches.list(limit=101)) == MANY[:101]
    assert service.received[1:] == ["GET /v1/batches?limit=1&after=batch_99"]
    assert use(ScriptedBatches(), lambda batches: batches.list()) == []


@pytest.mark.parametrize("as_path", [True, False])
def test_a_batch_is_created_of_a_file_that_is_uploaded(tmp_path, as_path):
    service, path = ScriptedBatches(), tmp_path / "lines.jsonl"
    path.write_bytes(LINES)
    made = use(
        service,
        lambda batches: batches.create(
            path if as_path else LINES, endpoint="/v1/audio/captions", metadata={"a": "b"}
        ),
    )
    assert (made.id, made.status) == ("batch_new", "validating")
    assert service.uploaded == [LINES]
    assert service.created == [
        {
            "input_file_id": "file-new",
            "endpoint": "/v1/audio/captions",
            "completion_window": "24h",
            "metadata": {"a": "b"},
        }
    ]


def test_a_batch_is_not_created_again_after_an_error():
    class Broken(ScriptedBatches):
        async def _create(self, request):
            self._note(request)
            request.transport.abort()
            return web.Response()

    service = Broken()
    with pytest.raises(errors.FlamingoError, match="closed the connection"):
        use(service, lambda batches: batches.create(LINES, endpoint="/v1/embeddings"))
    assert service.received == ["POST /v1/files", "POST /v1/batches"]


def test_waiting_ends_with_the_batch_and_reports_each_change_once():
    service = ScriptedBatches([scripted_batch("b", "validating")])
    states = iter(["in_progress", "in_progress", "finalizing", "completed"])
    seen = []

    async def sleep(_):
        service.replace(scripted_batch("b", next(states)))

    def wait(batches):
        return batches.wait("b", on_change=lambda batch: seen.append(batch.status))

    assert use(service, wait, sleep=sleep).status == "completed"
    assert seen == ["validating", "in_progress", "finalizing", "completed"]


def test_an_id_cannot_leave_its_place_in_the_path():
    service = ScriptedBatches()
    with pytest.raises(errors.NotFound):
        use(service, lambda batches: batches.retrieve("a/../../fleet?x"))
    assert service.received == ["GET /v1/batches/a%2F..%2F..%2Ffleet%3Fx"]


def test_a_file_is_written_while_it_arrives_and_a_lost_connection_is_an_error():
    target = io.BytesIO()
    service = ScriptedBatches(files={"file-1": LINES * 1000})
    use(service, lambda batches: batches.save_file("file-1", target))
    assert target.getvalue() == LINES * 1000

    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(LINES)
        request.transport.abort()
        return response

    async def scenario():
        async with (
            one_handler.serving("/{path:.*}", cut) as address,
            AsyncFlamingoClient(address) as client,
        ):
            await client.batches.save_file("file-1", io.BytesIO())

    with pytest.raises(errors.UpstreamLost):
        asyncio.run(scenario())


def test_synchronous_code_has_the_same_methods():
    service = ScriptedBatches([scripted_batch("b", "in_progress")])

    async def scenario():
        async with served(service) as address:
            return await asyncio.to_thread(script, address)

    def script(address):
        with FlamingoClient(address) as client:
            ids = [one.id for one in client.batches.list()]
            return ids, client.batches.cancel("b").status

    assert asyncio.run(scenario()) == (["b"], "cancelling")
