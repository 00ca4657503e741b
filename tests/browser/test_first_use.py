"""What a new user meets on the page: an answer to follow, a key, a server that is gone."""

import asyncio
import json
import threading

import pytest
from aiohttp import web
from browser.accessibility import findings
from fakes.pods import FakePod

from flamingo_common.service import auth, docs, http, keys
from flamingo_common.wire import report, routes

LINES = tuple(f"{number}\n" for number in range(120))
IS_AT_END = """(selector) => {
  const box = document.querySelector(selector);
  return box.scrollHeight > box.clientHeight
    && box.scrollHeight - box.clientHeight - box.scrollTop < 2;
}"""
SCROLL_UP = """(selector) => new Promise((scrolled) => {
  const box = document.querySelector(selector);
  box.addEventListener("scroll", scrolled, {once: true});  // behind the page's own listener
  box.scrollTop = 0;
}).then(() => true)"""
IS_IN_VIEW = """(selector) => {
  const place = document.querySelector(selector).getBoundingClientRect();
  return place.top >= 0 && place.bottom < innerHeight + 1;
}"""


class HalfwayPod(FakePod):
    """Waits in the middle of an answer."""

    def __init__(self, **script):
        super().__init__(**script, waits_after_words=60)
        self.may_go_on = threading.Event()

    async def _wait_for_release(self):
        await asyncio.to_thread(self.may_go_on.wait)


def asked(visit, song, pod, **context):
    site = visit(pod, **context)
    site.choose(song)
    site.shows("#question")
    site.ask("Which key?")
    return site


def test_a_long_answer_is_followed_to_its_end(visit, song):
    site = visit(FakePod(words=LINES), viewport={"width": 1000, "height": 700})
    site.choose(song)
    site.shows("#clip-tools")  # which move everything down when the clip is decoded
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "119")
    assert site.page.evaluate(IS_AT_END, "#log")
    assert site.page.evaluate(IS_IN_VIEW, "#composer")
    site.ask("And now?")
    site.has("#log .exchange:nth-child(2) .generated[aria-busy=false]", "119")
    assert site.page.evaluate(IS_AT_END, "#log")
    assert site.page.evaluate(IS_IN_VIEW, "#composer")


def test_a_reader_who_has_scrolled_up_stays_there(visit, song):
    pod = HalfwayPod(words=LINES)
    site = asked(visit, song, pod)
    site.has("#log .generated", "59")
    site.until(lambda: site.page.evaluate(IS_AT_END, "#log"))
    site.page.evaluate(SCROLL_UP, "#log")
    pod.may_go_on.set()
    site.has("#log .generated[aria-busy=false]", "119")
    assert site.page.evaluate("() => document.querySelector('#log').scrollTop") == 0


def test_an_empty_prompt_is_asked_for_and_nothing_is_sent(visit, song):
    site = visit(FakePod())
    site.choose(song)
    site.page.click("#styles >> text=Custom")
    site.page.click("#generate")
    site.has("#caption-error", "Write a prompt first.")
    site.has("#generate", "Generate")
    assert site.page.evaluate("() => document.activeElement.id") == "prompt"
    assert site.pod.received == []
    site.page.fill("#prompt", "Only the drums.")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    site.shows("#caption-error", visible=False)


def test_text_can_be_copied_when_there_is_text(visit, song):
    site = visit(FakePod(aborts_after_words=0))
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption-error", "The connection was lost")
    site.shows("#caption-request")
    site.shows("#copy-caption", visible=False)
    site.pod.aborts_after_words = None
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    site.shows("#copy-caption")


@pytest.fixture
def keyed(tmp_path):
    """A pod that requires the key `fk-right`."""

    class KeyedPod(FakePod):
        def app(self):
            app = super().app()
            auth.add_to(app, tmp_path / "keys")
            return app

    entries = [{"name": "me", "sha256": keys.digest_of("fk-right")}]
    (tmp_path / "keys").write_text(json.dumps({"keys": entries}))
    return KeyedPod()


def test_a_key_can_be_entered_after_the_dialog_was_closed(visit, keyed):
    site = visit(keyed)
    site.shows("#key-dialog")
    site.page.keyboard.press("Escape")
    site.shows("#key-dialog", visible=False)
    site.has("#server-error", "This server requires an API key.")
    site.page.click("#server-error button")
    site.page.fill("#key", "fk-right")
    site.page.press("#key", "Enter")
    site.has("#model", "fake")
    site.shows("#server-error", visible=False)
    site.has("#key-button", "Change API key")


def test_another_key_can_be_entered_at_any_time(visit, keyed):
    site = visit(keyed)
    site.shows("#key-dialog")
    site.page.keyboard.press("Escape")
    site.page.click("#key-button")
    site.page.fill("#key", "fk-wrong")
    site.page.press("#key", "Enter")
    site.shows("#key-rejected")
    site.page.keyboard.press("Escape")
    site.has("#server-error", "The server rejected this API key.")


def test_a_server_that_is_gone_looks_gone_and_comes_back_by_itself(visit):
    is_off = threading.Event()
    pods = [
        report.EndpointReport(
            address=f"http://10.0.0.{number}:8000", ready=True, backlog_s=0, num_open=0, load=None
        )
        for number in (1, 2)
    ]

    async def fleet(_):
        return http.json_response(report.FleetReport(endpoints=pods))

    @web.middleware
    async def middleware(request, handler):
        if is_off.is_set():  # as a server that is gone
            request.transport.abort()
        return await handler(request)

    site = visit(
        FakePod(),
        routes=[web.get("/fleet", fleet)],
        add=lambda app: app.middlewares.append(middleware),
    )
    site.has("#fleet-summary", "2 of 2 pods ready")
    is_off.set()
    site.has("#server-error", "Cannot reach the server. This page tries again by itself.")
    site.has("#fleet-summary", "state unknown")
    site.has("#endpoints li:first-child .state", "unknown")
    site.shows("#fleet-error", visible=False)
    assert site.page.locator("#endpoints .ready").count() == 0
    is_off.clear()
    site.has("#fleet-summary", "2 of 2 pods ready")
    site.shows("#server-error", visible=False)
    site.shows("#fleet-error", visible=False)


def test_a_busy_pod_is_not_idle(visit):
    pod = report.EndpointReport(
        address="http://10.0.0.1:8000", ready=True, backlog_s=0, num_open=1, load=None
    )

    async def fleet(_):
        return http.json_response(report.FleetReport(endpoints=[pod]))

    site = visit(FakePod(), routes=[web.get("/fleet", fleet)])
    site.has("#endpoints .load", "1 in flight")
    assert "idle" not in site.page.inner_text("#endpoints .load")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, song, scheme):
    site = visit(FakePod(), color_scheme=scheme)
    site.has("#model", "fake")
    assert findings(site.page) == []
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "a quiet song")
    site.page.click("#embed")
    site.shows("#heatmap-figure")
    assert findings(site.page) == []
    assert site.console_errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_reference_is_linked_and_follows_the_color_scheme(visit, scheme):
    site = visit(FakePod(), add=lambda app: docs.add_to(app, routes.POD), color_scheme=scheme)
    site.page.click("text=API reference")
    site.page.wait_for_selector(".info .title:has-text('Flamingo Fleet')")
    background = "() => getComputedStyle(document.documentElement).backgroundColor"
    is_dark = site.page.evaluate(background) == "rgb(28, 32, 34)"
    assert is_dark is (scheme == "dark")
    assert site.console_errors == []
