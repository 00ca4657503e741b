"""`/docs/` in a real browser: the API reference is rendered, and requests can be sent."""

import re
from pathlib import Path

from fakes.pods import FakePod

from flamingo_common.service import docs
from flamingo_common.wire import routes

TIMEOUT_MS = 60_000
"""Swagger UI renders for seconds on a busy machine."""


def docs_page(visit):
    site = visit(FakePod(), add=lambda app: docs.add_to(app, routes.POD))
    site.page.set_default_timeout(TIMEOUT_MS)
    site.page.goto(site.page.url.partition("/ui/")[0] + "/docs/")
    site.page.wait_for_selector(".info .title:has-text('Flamingo Fleet')")
    return site


def test_the_reference_is_rendered_and_a_request_can_be_sent(visit):
    site = docs_page(visit)
    route = "#operations-OpenAI-get_v1_models"
    site.page.click(f"{route} button.opblock-summary-control")
    site.page.click(f"{route} button.try-out__btn")
    site.page.click(f"{route} button.execute")
    site.page.wait_for_selector(f"{route} .live-responses-table td:has-text('200')")
    assert site.console_errors == []


def test_a_form_with_a_file_can_be_sent(visit, song):
    site = docs_page(visit)
    route = "#operations-Music-post_v1_audio_captions"
    site.page.click(f"{route} button.opblock-summary-control")
    site.page.select_option(f"{route} .body-param-content-type select", "multipart/form-data")
    site.page.click(f"{route} button.try-out__btn")
    site.page.select_option(f"{route} [data-property-name=style] select", "brief")
    site.page.set_input_files(f"{route} input[type=file]", song)
    site.page.click(f"{route} button.execute")
    site.page.wait_for_selector(f"{route} .live-responses-table :text('a quiet song')")
    sent = site.pod.received[0].body
    assert Path(song).read_bytes() in sent
    assert re.findall(rb'name="(\w+)"', sent) == [b"style", b"file"], "empty fields are not sent"
    assert site.console_errors == []
