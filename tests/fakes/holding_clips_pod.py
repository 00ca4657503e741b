"""A scripted pod that holds the clips that were sent, under ids that it counts up."""

import json
from dataclasses import dataclass, field

from aiohttp import web
from fakes import pods

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_common.wire import AUDIO_ID_HEADER, clip_ids, sse


@dataclass
class HoldingClipsPod(pods.FakePod):
    """A pod that reads forms, and answers 404 for the id of a clip that it does not hold."""

    held: dict[str, bytes] = field(default_factory=dict)
    sent: list[str | bytes] = field(default_factory=list)
    """The id or the clip of each request."""
    asked: list[dict] = field(default_factory=list)
    """The fields of each request."""
    holds_nothing: bool = False
    is_late: bool = False
    """Whether a stream has begun before the error, as after a wait in a router."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = {}
        async for part in await request.multipart():
            parts[part.name] = bytes(await part.read())
        self.asked.append(json.loads(parts["request"]))
        is_stream = self.asked[-1].get("stream", False)
        if "file" in parts:
            self.sent.append(parts["file"])
            clip_id = f"{clip_ids.PREFIX}{len(self.held):040x}"
            if not self.holds_nothing:
                self.held[clip_id] = parts["file"]
        else:
            clip_id = parts["audio_id"].decode()
            self.sent.append(clip_id)
            if clip_id not in self.held:
                error = errors.ClipNotHeld(clip_ids.NOT_HELD)
                if not (is_stream and self.is_late):
                    raise error
                return await self._events(request, [json.dumps(errors.to_body(error))], {})
        headers = {AUDIO_ID_HEADER: clip_id} if clip_id in self.held else {}
        if is_stream:
            events = [json.dumps(each) for each in self._chunks(request.path)]
            return await self._events(request, [*events, "[DONE]"], headers)
        answer = http.json_response(self._body(request.path))
        answer.headers.update(headers)
        return answer

    def _chunks(self, path: str) -> list[dict[str, object]]:
        """Return the events of a stream."""
        return [*(self._chunk(path, word) for word in self.words), self._last_chunk(path)]

    async def _events(
        self, request: web.Request, events: list[str], headers: dict[str, str]
    ) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream"} | headers
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for event in events:
            await response.write(sse.encode_event(event))
        return response
