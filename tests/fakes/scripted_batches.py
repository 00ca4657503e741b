"""A scripted service of batches: its routes, whose batches a test changes as it likes."""

from dataclasses import dataclass, field

from aiohttp import web

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_common.wire.batches import Batch, BatchList, BatchUsage, RequestCounts
from flamingo_common.wire.files import FileObject

CREATED_AT = 1_790_000_000


def scripted_batch(name, status="completed", *, total=4, completed=4, failed=0, **more):
    """Return a batch as the API has it."""
    fields = {
        "endpoint": "/v1/audio/captions",
        "input_file_id": "file-in",
        "created_at": CREATED_AT,
        "expires_at": 2**33,
        "request_counts": RequestCounts(total=total, completed=completed, failed=failed),
        "usage": BatchUsage(),
    }
    return Batch(id=name, status=status, **(fields | more))


@dataclass
class ScriptedBatches:
    """Batches, the newest first, and files; `received` are the requests that arrived."""

    batches: list[Batch] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    uploaded: list[bytes] = field(default_factory=list)
    created: list[dict] = field(default_factory=list)
    fails_with: errors.FlamingoError | None = None

    def add_to(self, app):
        app.router.add_get("/v1/batches", self._list)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches/{id}", self._get)
        app.router.add_post("/v1/batches/{id}/cancel", self._cancel)
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)

    def replace(self, batch):
        """Change the batch of this id."""
        self.batches = [batch if one.id == batch.id else one for one in self.batches]

    def _note(self, request):
        self.received.append(f"{request.method} {request.rel_url.raw_path_qs}")
        if self.fails_with is not None:
            raise self.fails_with

    async def _list(self, request):
        self._note(request)
        limit, after = int(request.query.get("limit", 20)), request.query.get("after")
        names = [one.id for one in self.batches]
        start = names.index(after) + 1 if after else 0
        page, rest = self.batches[start : start + limit], self.batches[start + limit :]
        first, last = (page[0].id, page[-1].id) if page else (None, None)
        found = BatchList(data=page, first_id=first, last_id=last, has_more=bool(rest))
        return http.json_response(found)

    def _find(self, request):
        for one in self.batches:
            if one.id == request.match_info["id"]:
                return one
        raise errors.NotFound(
            "the batch does not exist or you do not have access to it", param="id"
        )

    async def _get(self, request):
        self._note(request)
        return http.json_response(self._find(request))

    async def _cancel(self, request):
        self._note(request)
        self.replace(self._find(request).model_copy(update={"status": "cancelling"}))
        return http.json_response(self._find(request))

    async def _upload(self, request):
        self._note(request)
        form = await request.post()
        content = form["file"].file.read()
        self.uploaded.append(content)
        name = form["file"].filename
        found = FileObject(
            id="file-new", bytes=len(content), created_at=1, filename=name, purpose="batch"
        )
        return http.json_response(found)

    async def _create(self, request):
        self._note(request)
        self.created.append(await request.json())
        counts = RequestCounts(total=0, completed=0, failed=0)
        made = scripted_batch("batch_new", "validating").model_copy(
            update={"request_counts": counts}
        )
        self.batches.insert(0, made)
        return http.json_response(made)

    async def _content(self, request):
        self._note(request)
        return web.Response(body=self.files[request.match_info["id"]])
