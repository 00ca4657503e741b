"""Clips given by URL: how the router learns their length, and which addresses it must not probe."""

import asyncio
import contextlib
import io

import numpy as np
import pytest
import soundfile
from aiohttp import web
from fakes import polling
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, clip, routing, run

from flamingo_common.audio.clip_info import ClipInfo
from flamingo_router.request import url_probe

SECONDS = 200
WAV = clip(SECONDS)
OPEN = {"probe_urls": True, "probe_allowed_networks": "127.0.0.1/32"}


class Site:
    """Serves one clip in ranges, and records the requests."""

    def __init__(self, clip=WAV, status=206):
        self.clip, self.status = clip, status
        self.requested = []
        self.release = asyncio.Event()
        self.release.set()

    async def serve(self, request):
        self.requested.append(request.headers.get("Range"))
        await self.release.wait()
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        part = self.clip[request.http_range]
        headers = {"Content-Range": f"bytes 0-{len(part) - 1}/{len(self.clip)}", "ETag": '"v1"'}
        if self.status == 302:
            headers["Location"] = "/another"
        return web.Response(status=self.status, body=part, headers=headers)


@contextlib.asynccontextmanager
async def serving(site):
    app = web.Application()
    app.router.add_get("/{path:.*}", site.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}/clip".format(*runner.addresses[0][:2])
    finally:
        site.release.set()
        await runner.cleanup()


async def audio_by_source(router, url):
    """Send the clip; return the seconds of all clips so far, by how the router knew them."""
    status, _, _ = await router.answer(CAPTIONS, {"audio": {"url": url}})
    assert status == 200
    name = "flamingo_router_audio_seconds_total"
    return {
        source: sum(await router.metric(f'{name}{{source="{source}"}}'))
        for source in ("exact", "assumed")
    }


@pytest.mark.parametrize("path", ["", "?signed=" + "x" * 2000])
def test_the_length_of_a_clip_at_a_url_is_probed(path):
    async def scenario():
        site, pod = Site(), FakePod()
        async with serving(site) as url, routing(pod, **OPEN) as router:
            assert await audio_by_source(router, url + path) == {"exact": SECONDS, "assumed": 0}
            assert site.requested == ["bytes=0-65535"]

    run(scenario)


def test_a_length_once_known_is_not_read_again_while_the_etag_holds():
    async def scenario():
        site = Site()
        async with serving(site) as url, routing(FakePod(), **OPEN) as router:
            await audio_by_source(router, url)
            site.clip = b"not looked at"
            assert (await audio_by_source(router, url))["exact"] == 2 * SECONDS

    run(scenario)


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(Site(status=200), id="gives no parts"),
        pytest.param(Site(status=404), id="has no such clip"),
        pytest.param(Site(status=302), id="leads elsewhere"),
        pytest.param(Site(clip=b"".ljust(9)), id="has no audio"),
    ],
)
def test_a_failed_probe_is_not_an_error_of_the_request(site):
    async def scenario():
        async with serving(site) as url, routing(FakePod(), **OPEN) as router:
            assert await audio_by_source(router, url) != {"exact": SECONDS, "assumed": 0}
            assert len(site.requested) == 1

    run(scenario)


def test_a_slow_site_delays_a_request_only_briefly_and_its_length_is_known_the_next_time():
    async def scenario():
        site = Site()
        async with serving(site) as url, routing(FakePod(), **OPEN) as router:
            site.release.clear()
            assert (await audio_by_source(router, url))["exact"] == 0
            site.release.set()

            async def is_known():
                return (await audio_by_source(router, url))["exact"]

            await polling.until(is_known)

    run(scenario)


@pytest.mark.parametrize(
    "settings", [{}, {"probe_urls": True}, OPEN | {"probe_allowed_hosts": "clips.example.org"}]
)
def test_the_router_probes_no_address_that_is_not_allowed(settings):
    async def scenario():
        site = Site()
        async with serving(site) as url, routing(FakePod(), **settings) as router:
            for address in (url, url.replace("127.0.0.1", "localhost"), "http://x:y@[/"):
                assert (await audio_by_source(router, address))["exact"] == 0
            assert site.requested == []

    run(scenario)


def test_the_end_of_a_clip_is_read_where_it_states_the_length():
    file = io.BytesIO()
    noise = np.random.default_rng(1).standard_normal(30 * 16_000) * 0.1
    with soundfile.SoundFile(file, "w", 16_000, 1, "VORBIS", format="OGG") as sink:
        for block in np.array_split(noise, 30):
            sink.write(block)
    size = len(file.getvalue())

    async def scenario():
        site = Site(file.getvalue())
        async with serving(site) as url, routing(FakePod(), **OPEN) as router:
            assert (await audio_by_source(router, url))["exact"] == pytest.approx(30, abs=0.1)
            assert site.requested == ["bytes=0-65535", f"bytes={size - 65536}-{size - 1}"]

    run(scenario)


def test_what_is_remembered_of_urls_is_bounded():
    probe = url_probe.UrlProbe((), ())
    for number in range(url_probe.MAX_KNOWN + 5):
        probe._remember(str(number), "v1", ClipInfo(1.0, "exact", "wav"))

    assert len(probe._known) == url_probe.MAX_KNOWN
    assert "4" not in probe._known
