"""What a model thinks before it answers, on the web page."""

import json

from aiohttp import web
from fakes.pods import FakePod

from flamingo_common.wire import responses, sse

SCRIPT = """<img src=x onerror="document.title='owned'">"""
THOUGHTS = ("The drums are ", f"fast. {SCRIPT}")


class ThinkingPod(FakePod):
    """Streams its reasoning, then its answer."""

    async def _stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        common = {"id": "x-1", "created": 0, "model": self.model}
        deltas = [responses.Delta(reasoning_content=thought) for thought in THOUGHTS]
        for delta in (*deltas, responses.Delta(content="Jungle.")):
            chunk = responses.ChatCompletionChunk(
                choices=[responses.ChunkChoice(delta=delta)], **common
            )
            await response.write(sse.encode_event(json.dumps(responses.to_json_dict(chunk))))
        await response.write(sse.encode_event(json.dumps(self._last_chunk(request.path))))
        await response.write(sse.DONE)
        return response


def test_reasoning_is_folded_above_the_answer_and_not_sent_again(visit, song):
    site = visit(ThinkingPod())
    site.drop(song)
    site.ask("Which genre?")
    site.has("#log .exchange > .generated", "Jungle.")
    reasoning = site.page.locator("#log .reasoning")
    assert reasoning.locator("p").is_hidden()
    reasoning.locator("summary").click()
    assert reasoning.locator("p").inner_text() == "".join(THOUGHTS)
    assert site.page.title() != "owned"
    site.ask("Why?")
    site.has("#log .exchange:nth-child(2) > .generated", "Jungle.")
    assert b"Jungle." in site.pod.received[-1].body
    assert b"drums" not in site.pod.received[-1].body


def test_an_answer_without_reasoning_has_no_place_for_it(visit, song):
    site = visit(FakePod(words=("Jungle.",)))
    site.drop(song)
    site.ask("Which genre?")
    site.has("#log .exchange > .generated", "Jungle.")
    assert site.page.locator("#log .reasoning").count() == 0
