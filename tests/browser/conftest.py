"""A browser, a pod that serves the page, and a song.

Without Chromium or Playwright the tests are skipped with the reason;
`FLAMINGO_REQUIRE_ALL=1` makes that a failure.
"""

import asyncio
import contextlib
import math
import os
import pathlib
import shutil
import struct
import threading
import wave
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from fakes import pods
from fakes.patience import PATIENCE_S
from fakes.scripted_batches import ScriptedBatches

from flamingo_common.service import page as ui

try:
    from playwright import sync_api
except ImportError:
    sync_api = None

CHROMIUM = os.environ.get("FLAMINGO_CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
]
TIMEOUT_MS = 60_000
SONG_S = 2


def _missing() -> str | None:
    if sync_api is None:
        return "Playwright is not installed: pip install playwright"
    if CHROMIUM is None:
        return "no chromium on PATH: apt-get install chromium, or set FLAMINGO_CHROMIUM"
    return None


# Scoped to the module, not the session: while it lasts, Playwright has an event loop running in
# this thread, and no other test could start one.
@pytest.fixture(scope="module")
def browser():
    missing = _missing()
    if missing:
        if os.environ.get("FLAMINGO_REQUIRE_ALL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with chromium() as running:
        yield running


@contextlib.contextmanager
def chromium():
    """Run a browser."""
    sync_api.expect.set_options(timeout=TIMEOUT_MS)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=FLAGS, chromium_sandbox=False
        )
        yield running
        running.close()


@dataclass
class Site:
    """An open page, and the errors and warnings of the browser's console."""

    page: "sync_api.Page"
    pod: pods.FakePod | None
    console_errors: list[str] = field(default_factory=list)

    def has(self, selector: str, text: str) -> None:
        """Wait until the element contains `text`."""
        sync_api.expect(self.page.locator(selector)).to_contain_text(text)

    def shows(self, selector: str, *, visible: bool = True) -> None:
        sync_api.expect(self.page.locator(selector)).to_be_visible(visible=visible)

    def until(self, condition) -> None:
        """Wait until `condition()` is true, while the browser keeps running."""
        for _ in range(TIMEOUT_MS // 20):
            if condition():
                return
            self.page.wait_for_timeout(20)
        pytest.fail("the condition did not become true in time")

    def choose(self, song: str) -> None:
        self.page.set_input_files("#file", song)

    def drop(self, song: str) -> None:
        """Drop the file on the page."""
        path = pathlib.Path(song)
        self.page.evaluate(DROP, [list(path.read_bytes()), path.name])

    def ask(self, question: str) -> None:
        self.page.fill("#question", question)
        self.page.click("#ask")

    def copied(self, button: str) -> str:
        self.page.click(button)
        self.has(button, "Copied")
        return self.page.evaluate("() => navigator.clipboard.readText()")


DROP = """([content, name]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(content)], name));
  const drop = new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
  document.querySelector("main").dispatchEvent(drop);
}"""


@dataclass(frozen=True)
class Additions:
    """What a server of the page has beside the pod."""

    routes: Sequence = ()
    add: Callable[[web.Application], None] | None = None
    batches: ScriptedBatches | None = None


@pytest.fixture
def package(tmp_path):
    """The package with the real page, and an empty folder of clips."""
    (tmp_path / "ui").symlink_to(str(ui.PACKAGE / "ui"))
    (tmp_path / "clips").mkdir()
    return tmp_path


@pytest.fixture
def open_site(browser):
    """Open the page at an address."""
    with contextlib.ExitStack() as stack:

        def open_at(address: str, pod: pods.FakePod | None = None, **context) -> Site:
            session = browser.new_context(**context)
            stack.callback(session.close)
            session.set_default_timeout(TIMEOUT_MS)
            site = Site(page=session.new_page(), pod=pod)
            site.page.on("console", lambda message: _record(site, message))
            site.page.on("pageerror", lambda error: site.console_errors.append(str(error)))
            site.page.goto(f"{address}/")
            return site

        yield open_at


@pytest.fixture
def visit(open_site, package):
    """Open the page of a pod; `routes` and `add` add further routes to its server.

    `batches` is a scripted service of batches, which the page then shows.
    """
    with contextlib.ExitStack() as stack:

        def open_page(pod: pods.FakePod, *, routes=(), add=None, batches=None, **context) -> Site:
            more = Additions(routes, add, batches)
            address = stack.enter_context(served(pod, package, more))
            return open_site(address, pod, **context)

        yield open_page


def _record(site: Site, message) -> None:
    if message.type in ("error", "warning"):
        site.console_errors.append(message.text)


@contextlib.contextmanager
def served(pod: pods.FakePod, package, more: Additions) -> Iterator[str]:
    """Serve the page and the pod from one application, on a thread of its own."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(pod, package, more, started)))
    thread.start()
    address, loop, stop = started.result(timeout=PATIENCE_S)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=PATIENCE_S)


async def _serve(pod: pods.FakePod, package, more: Additions, started: Future) -> None:
    app = pod.app()
    if more.add:
        more.add(app)
    if more.batches:
        more.batches.add_to(app)
    ui.add_to(app, package=package, has_batches=more.batches is not None)
    app.router.add_routes(more.routes)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    stop = asyncio.Event()
    started.set_result((f"http://{host}:{port}", asyncio.get_running_loop(), stop))
    await stop.wait()
    await runner.cleanup()


@pytest.fixture(scope="session")
def song(tmp_path_factory) -> str:
    """Two seconds of a chord whose volume varies."""
    rate = 8000
    path = tmp_path_factory.mktemp("song") / "song.wav"
    samples = (_sample(n / rate) for n in range(SONG_S * rate))
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return str(path)


def _sample(second: float) -> int:
    chord = sum(math.sin(2 * math.pi * hertz * second) for hertz in (220, 277.2, 329.6))
    swell = abs(math.sin(3.5 * second)) * (0.4 + 0.6 * math.sin(19 * second) ** 2)
    return int(9000 * chord * swell)
