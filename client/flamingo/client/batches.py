"""Batches of the service behind a fleet: `await client.batches.list()`.

The service keeps a file of requests and works on it, whatever happens to the client; the methods
`batch_caption` and so on, in contrast, send each clip themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO
from urllib.parse import quote

from flamingo.client import blocking, fields, sources
from flamingo.client.sources import Audio
from flamingo.client.transport import ApiRequest, Sleep, Transport
from flamingo_common.wire import batches, files
from flamingo_common.wire.batches import Batch, BatchList, Endpoint

BATCHES, FILES = "/v1/batches", "/v1/files"
ACTIVE = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
"""The states of a batch on which there is work left."""
POLL_INTERVAL_S = 2.0
OnChange = Callable[[Batch], None]


class AsyncBatches:
    """The batches of this API key.

    Every method raises `NotFound` if the fleet has no service of batches, or there is no such
    batch.
    """

    def __init__(self, transport: Transport, sleep: Sleep) -> None:
        self._transport = transport
        self._sleep = sleep

    async def create(
        self, file: Audio, *, endpoint: Endpoint, metadata: Mapping[str, str] | None = None
    ) -> Batch:
        """Upload a file of requests, one a line as JSON, and create a batch of it.

        The service checks the file afterwards: a batch with faults is `failed`, and its `errors`
        have the numbers of the lines.

        Args:
            file: a path, the contents as bytes, or a file opened in binary mode.
            endpoint: the `url` of every line, such as `/v1/audio/captions`.
            metadata: up to 16 names and values, which the batch carries.

        Raises:
            InvalidAudio: the file cannot be read, or is empty.
            RequestTooLarge: it exceeds the service's limit.
            QuotaExceeded: the key has too many files, or batches in progress.

        Example:
            batch = await client.batches.create("lines.jsonl", endpoint="/v1/audio/captions")
        """
        async with sources.open_clip(file, self._transport.download) as clip:
            upload = ApiRequest(FILES, clip=clip, form={"purpose": "batch"})
            uploaded = await self._transport.fetch(upload, files.FileObject.model_validate_json)
        body = fields.without_unset(
            input_file_id=uploaded.id,
            endpoint=endpoint,
            completion_window="24h",
            metadata=None if metadata is None else dict(metadata),
        )
        # Not sent again: after a lost response there would be two batches.
        return await self._fetch(ApiRequest(BATCHES, body, max_retries=0))

    async def retrieve(self, batch_id: str) -> Batch:
        """Return a batch."""
        return await self._fetch(ApiRequest(_path(batch_id)))

    async def cancel(self, batch_id: str) -> Batch:
        """Have no more lines of a batch sent; what was answered until then stays in its files."""
        return await self._fetch(ApiRequest(f"{_path(batch_id)}/cancel", {}))

    async def wait(
        self,
        batch_id: str,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
        on_change: OnChange | None = None,
    ) -> Batch:
        """Return a batch as soon as it has ended, in whatever state.

        `on_change` is called with it first, and each time that its state or counts have changed.
        """
        last: Batch | None = None
        while True:
            batch = await self.retrieve(batch_id)
            if on_change is not None and batch != last:
                on_change(batch)
            if batch.status not in ACTIVE:
                return batch
            last = batch
            await self._sleep(poll_interval_s)

    async def save_file(self, file_id: str, target: BinaryIO) -> None:
        """Write the contents of a file, such as a batch's `output_file_id`, while they arrive.

        Raises:
            UpstreamLost: the connection was lost; part of the contents was written.
            OSError: `target` cannot be written.
        """
        request = ApiRequest(f"{FILES}/{quote(file_id, safe='')}/content")
        async with self._transport.open_response(request) as response:
            async for chunk in response.content.iter_any():
                await blocking.run_to_end(target.write, chunk)

    async def list(self, *, limit: int | None = None) -> Sequence[Batch]:
        """Return the batches, the newest first; by default all, over as many pages as there are."""
        found: dict[str, Batch] = {}
        while limit is None or len(found) < limit:
            page = await self._page(limit, found)
            found |= {batch.id: batch for batch in page.data}
            if not page.has_more or not page.data:
                break
        return [*found.values()][:limit]

    async def _page(self, limit: int | None, found: Mapping[str, Batch]) -> BatchList:
        num = batches.MAX_BATCH_PAGE if limit is None else limit - len(found)
        query = f"limit={min(num, batches.MAX_BATCH_PAGE)}"
        if found:
            query += f"&after={quote(next(reversed([*found])), safe='')}"
        request = ApiRequest(f"{BATCHES}?{query}")
        return await self._transport.fetch(request, BatchList.model_validate_json)

    async def _fetch(self, request: ApiRequest) -> Batch:
        return await self._transport.fetch(request, Batch.model_validate_json)


def _path(batch_id: str) -> str:
    return f"{BATCHES}/{quote(batch_id, safe='')}"
