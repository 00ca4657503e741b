"""A pod whose model thinks before it answers a chat."""

import json

from aiohttp import web
from fakes import pods
from fakes.pods import FakePod

from flamingo_common.wire import responses, sse


class ThinkingPod(FakePod):
    """Answers with its reasoning, then with its words; streamed and whole."""

    thoughts = ("The drums are ", "fast.")

    def _card(self):
        return super()._card().model_copy(update={"reasoning": True})

    def _body(self, path):
        message = responses.AssistantMessage(
            content="".join(self.words), reasoning_content="".join(self.thoughts)
        )
        choice = responses.Choice(message=message, finish_reason="stop")
        return responses.ChatCompletion(
            id="x-1", created=0, model=self.model, choices=[choice], usage=pods.USAGE
        )

    async def _stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        common = {"id": "x-1", "created": 0, "model": self.model}
        deltas = [responses.Delta(reasoning_content=thought) for thought in self.thoughts]
        for delta in (*deltas, *(responses.Delta(content=word) for word in self.words)):
            chunk = responses.ChatCompletionChunk(
                choices=[responses.ChunkChoice(delta=delta)], **common
            )
            await response.write(sse.encode_event(json.dumps(responses.to_json_dict(chunk))))
        await response.write(sse.encode_event(json.dumps(self._last_chunk(request.path))))
        await response.write(sse.DONE)
        return response
