"""A clip that is given by its URL in every question: loaded once while its server says so."""

import asyncio
import hashlib

import httpx2
import pytest
from aiohttp import web
from fakes import processes
from fakes.patience import PATIENCE_S
from fakes.sites import site

CAPTIONS = "/v1/audio/captions"


class Site:
    """A server of one clip that knows conditional requests."""

    def __init__(self, clip, *, is_weak=False):
        self.clip, self.is_weak = clip, is_weak
        self.statuses = []

    async def handle(self, request):
        if request.path == "/moved.mp3":
            raise web.HTTPFound("/clip.mp3")
        etag = '"' + hashlib.sha256(self.clip).hexdigest() + '"'
        headers = {"ETag": f"W/{etag}" if self.is_weak else etag}
        is_same = request.headers.get("If-None-Match") == headers["ETag"]
        response = web.Response(status=304) if is_same else web.Response(body=self.clip)
        response.headers.update(headers)
        self.statuses.append(response.status)
        return response


@pytest.fixture(scope="module")
def pod(model_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("urls")
    flags = ("--fetch-allowed-networks", "127.0.0.1/32")
    with processes.service("flamingo_pod", *flags, log=folder / "log") as service:
        processes.wait_until_ready(service)
        yield service


def answers(pod, served, *, path="/clip.mp3", changes=()):
    """Return what a pod answers about a URL twice, and again after each change of the clip."""

    async def scenario():
        found = []
        async with (
            site(served.handle) as address,
            httpx2.AsyncClient(base_url=pod.address, timeout=PATIENCE_S) as client,
        ):
            for clip in (None, None, *changes):
                served.clip = clip or served.clip
                body = {"audio": {"url": address + path}, "max_tokens": 4, "temperature": 0}
                found.append(await client.post(CAPTIONS, json=body))
        assert [each.status_code for each in found] == [200] * len(found), found[-1].text
        return [(each.json()["caption"], each.json()["audio"]["id"]) for each in found]

    return asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/clip.mp3", "/moved.mp3"])
def test_a_clip_at_a_url_is_loaded_once_while_it_is_the_same(pod, clips, path):
    served = Site(clips["notes.mp3"])
    first, again = answers(pod, served, path=path)
    assert served.statuses == [200, 304]
    assert first == again


def test_a_clip_that_has_changed_is_loaded_again(pod, clips):
    served = Site(clips["notes.mp3"])
    first, _, other, back = answers(pod, served, changes=(clips["notes.flac"], clips["notes.mp3"]))
    assert served.statuses == [200, 304, 200, 200]
    assert other[1] != first[1]
    assert back == first


def test_a_weak_etag_is_not_relied_upon(pod, clips):
    served = Site(clips["notes.mp3"], is_weak=True)
    first, again = answers(pod, served)
    assert served.statuses == [200, 200]
    assert first == again
