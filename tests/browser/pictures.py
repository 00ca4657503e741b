"""Take the picture of the web page that the README shows.

    python -m browser.pictures    from the folder tests; needs Playwright and Chromium

It starts a router and two pods with the tiny model, opens the page in a browser of light mode, has
the example clip captioned, asks a question about it, tags it, and writes
docs/images/page.png. So what the page shows is real, and the text of the model has no meaning.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from browser import conftest
from fakes import processes

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "page.png"
MARGIN = 20
VIEWPORT = {"width": 1100, "height": 900}
QUESTION = "What are its key and tempo?"
MAX_TOKENS = 60


def main() -> None:
    """Start a fleet, use its page, and write the picture."""
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        router, _ = stack.enter_context(processes.fleet(logs))
        browser = stack.enter_context(conftest.chromium())
        page = browser.new_page(viewport=VIEWPORT, color_scheme="light")
        page.set_default_timeout(conftest.TIMEOUT_MS)
        page.goto(f"{router.address}/ui/")
        _use(page)
        tags = page.locator("#tags").bounding_box()
        height = tags["y"] + tags["height"] + MARGIN
        clip = {"x": 0, "y": 0, "width": VIEWPORT["width"], "height": height}
        page.screenshot(path=IMAGE, full_page=True, clip=clip)


def _use(page: "conftest.sync_api.Page") -> None:
    """Caption the example clip, ask about it, and tag it."""
    page.click("#example")
    page.click("text=Brief")
    page.click("text=Options")
    page.fill("#max-tokens", str(MAX_TOKENS))
    page.click("text=Options")
    page.click("#generate")
    page.wait_for_selector("#caption-request:visible")
    page.click(f"text={QUESTION}")
    page.wait_for_selector("#chat-request:visible")
    page.wait_for_selector("#ask:has-text('Ask')")
    page.click("#tag")
    page.wait_for_selector("#tags-json:visible")
    page.wait_for_selector("#clip-tools:visible")
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")


if __name__ == "__main__":
    main()
