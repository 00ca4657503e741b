"""`/docs/` in a real browser: the document is drawn, and a request can be tried."""

import re
from pathlib import Path

from fakes.pods import FakePod

from flamingo.service import docs
from flamingo.wire import routes


def add_docs(app):
    docs.add_to(app, routes.POD)


def test_the_document_is_drawn_and_a_route_can_be_tried(visit):
    site = visit(FakePod(), add=add_docs)
    site.page.goto(site.page.url.partition("/ui/")[0] + "/docs/")
    site.has(".info .title", "Flamingo Fleet")
    site.page.click("#operations-OpenAI-get_v1_models button.opblock-summary-control")
    site.page.click("#operations-OpenAI-get_v1_models button.try-out__btn")
    site.page.click("#operations-OpenAI-get_v1_models button.execute")
    site.has("#operations-OpenAI-get_v1_models .live-responses-table tbody", "200")
    assert site.complaints == []


def test_a_song_can_be_sent_from_it(visit, song):
    site = visit(FakePod(), add=add_docs)
    site.page.goto(site.page.url.partition("/ui/")[0] + "/docs/")
    route = "#operations-Music-post_v1_audio_captions"
    site.page.click(f"{route} button.opblock-summary-control")
    site.page.select_option(f"{route} .body-param-content-type select", "multipart/form-data")
    site.page.click(f"{route} button.try-out__btn")
    site.page.select_option(f"{route} [data-property-name=style] select", "brief")
    site.page.set_input_files(f"{route} input[type=file]", song)
    site.page.click(f"{route} button.execute")
    site.has(f"{route} .live-responses-table tbody .highlight-code", "a quiet song")
    sent = site.pod.received[0].body
    assert Path(song).read_bytes() in sent
    assert re.findall(rb'name="(\w+)"', sent) == [b"style", b"file"], "no field is made up"
    assert site.complaints == []
