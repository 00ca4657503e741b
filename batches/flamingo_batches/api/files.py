"""Handlers of `/v1/files`."""

import time

from aiohttp import hdrs, web

from flamingo_batches import ids
from flamingo_batches.api import upload
from flamingo_batches.api.requests import id_of, missing, owner_of, page_of, query_of, state_of
from flamingo_batches.api.upload import Upload
from flamingo_batches.records import DEFAULT_EXPIRY_S, StoredFile
from flamingo_batches.state import State
from flamingo_batches.store import batches as batch_queries
from flamingo_batches.store import files
from flamingo_common.errors import BadRequest, QuotaExceeded
from flamingo_common.service import http
from flamingo_common.wire.files import DeletedFile, FileList, FileQuery

BINARY = "application/octet-stream"
JSON_LINES = "application/jsonl"


async def create(request: web.Request) -> web.Response:
    """`POST /v1/files`: keep a file."""
    state, owner = state_of(request), owner_of(request)
    with state.drain_gate.admitted():
        await _check_room(state, owner, request.content_length or 0)
        received = await upload.receive(request, state)
        file = _described(received, owner)
        try:
            await _check_room(state, owner, file.num_bytes)
            await state.database.run(files.add, file)
        except BaseException:
            await state.contents.delete([received.path])
            raise
    return http.json_response(file.to_object())


async def list_page(request: web.Request) -> web.Response:
    """`GET /v1/files`: one page of the caller's files."""
    state, query = state_of(request), query_of(request, FileQuery)
    found, has_more = await state.database.run(
        files.page, owner_of(request), page_of(query), query.purpose
    )
    data = [file.to_object() for file in found]
    first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
    return http.json_response(
        FileList(data=data, first_id=first_id, last_id=last_id, has_more=has_more)
    )


async def get(request: web.Request) -> web.Response:
    """`GET /v1/files/{id}`: one file."""
    return http.json_response((await _find(request)).to_object())


async def get_content(request: web.Request) -> web.StreamResponse:
    """`GET /v1/files/{id}/content`: a file's contents."""
    state, file = state_of(request), await _find(request)
    response = web.StreamResponse()
    response.content_type = BINARY if file.purpose == "user_data" else JSON_LINES
    response.content_length = file.num_bytes
    response.headers[hdrs.CONTENT_DISPOSITION] = "attachment"
    with state.drain_gate.admitted():
        chunks = state.contents.read(ids.contents_path(file.id))
        first = await anext(chunks, b"")  # before the status is sent: it may fail
        await response.prepare(request)
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    return response


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/files/{id}`: delete a file and its contents."""
    state, file = state_of(request), await _find(request)
    if await state.database.run(batch_queries.is_input_in_use, file.id):
        raise BadRequest(
            f"{file.id} is the input of a batch that is not finished; cancel the batch first"
        )
    await state.database.run(files.remove, file.id)
    await state.contents.delete([ids.contents_path(file.id)])
    return http.json_response(DeletedFile(id=file.id))


async def _find(request: web.Request) -> StoredFile:
    file_id = id_of(request, "file")
    file = await state_of(request).database.run(files.find, owner_of(request), file_id)
    if file is None:
        raise missing("file", file_id)
    return file


def _described(received: Upload, owner: str) -> StoredFile:
    fields, created_at = received.parse(), int(time.time())
    expiry_s = fields.expires_after.seconds if fields.expires_after else None
    if expiry_s is None and fields.purpose == "batch":
        expiry_s = DEFAULT_EXPIRY_S
    return StoredFile(
        received.file_id,
        owner,
        fields.purpose,
        received.filename,
        received.num_bytes,
        created_at,
        None if expiry_s is None else created_at + expiry_s,
    )


async def _check_room(state: State, owner: str, num_bytes: int) -> None:
    limit = state.settings.max_stored_bytes_per_key
    if await state.database.run(files.num_bytes, owner) + num_bytes > limit:
        raise QuotaExceeded(
            f"the files of this API key would exceed {limit} bytes; delete some that are not needed"
        )
