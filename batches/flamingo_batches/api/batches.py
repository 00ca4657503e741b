"""Handlers of `/v1/batches`."""

import time

from aiohttp import web

from flamingo_batches import ids
from flamingo_batches.api.requests import id_of, missing, owner_of, page_of, query_of, state_of
from flamingo_batches.records import DEFAULT_EXPIRY_S, StoredBatch, StoredFile, Usage
from flamingo_batches.store import batches, files
from flamingo_common.errors import BadRequest
from flamingo_common.service import http
from flamingo_common.wire import parse
from flamingo_common.wire.batches import COMPLETION_WINDOW_S, BatchList, BatchQuery, BatchRequest


async def create(request: web.Request) -> web.Response:
    """`POST /v1/batches`: create a batch; its input is checked afterwards."""
    state, owner = state_of(request), owner_of(request)
    with state.drain_gate.admitted():
        body = parse.parse_json_object(await request.read())
        asked = parse.validate_request(BatchRequest, body)
        _check_input(await state.database.run(files.find, owner, asked.input_file_id), asked)
        batch = _described(asked, owner)
        limit = state.settings.max_active_batches_per_key
        await state.database.run(batches.add, batch, limit)
        state.has_work.set()
    return http.json_response(batch.to_object())


async def list_page(request: web.Request) -> web.Response:
    """`GET /v1/batches`: one page of the caller's batches."""
    state, query = state_of(request), query_of(request, BatchQuery)
    found, has_more = await state.database.run(batches.page, owner_of(request), page_of(query))
    data = [batch.to_object() for batch in found]
    first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
    return http.json_response(
        BatchList(data=data, first_id=first_id, last_id=last_id, has_more=has_more)
    )


async def get(request: web.Request) -> web.Response:
    """`GET /v1/batches/{id}`: one batch."""
    state, batch_id = state_of(request), id_of(request, "batch")
    batch = await state.database.run(batches.find, owner_of(request), batch_id)
    if batch is None:
        raise missing("batch", batch_id)
    return http.json_response(batch.to_object())


async def cancel(request: web.Request) -> web.Response:
    """`POST /v1/batches/{id}/cancel`: send no more lines of a batch."""
    state, batch_id = state_of(request), id_of(request, "batch")
    batch = await state.database.run(batches.cancel, owner_of(request), batch_id)
    if batch is None:
        raise missing("batch", batch_id)
    state.has_work.set()
    return http.json_response(batch.to_object())


def _check_input(file: StoredFile | None, asked: BatchRequest) -> None:
    if file is None:
        raise BadRequest(
            f"input_file_id: {ids.missing('file', asked.input_file_id)}",
            param="input_file_id",
        )
    if file.purpose != "batch":
        raise BadRequest(
            f"input_file_id: the file has the purpose {file.purpose!r}; upload it with 'batch'",
            param="input_file_id",
        )


def _described(asked: BatchRequest, owner: str) -> StoredBatch:
    now = int(time.time())
    expiry = asked.output_expires_after
    return StoredBatch(
        id=ids.new_batch(),
        owner=owner,
        endpoint=asked.endpoint,
        input_file_id=asked.input_file_id,
        status="validating",
        created_at=now,
        expires_at=now + COMPLETION_WINDOW_S,
        times={},
        total=0,
        completed=0,
        failed=0,
        usage=Usage(),
        metadata=asked.metadata,
        faults=None,
        output_file_id=None,
        error_file_id=None,
        output_expires_after_s=expiry.seconds if expiry else DEFAULT_EXPIRY_S,
    )
