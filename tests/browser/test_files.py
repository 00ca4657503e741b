"""The table of several files, and the history of what was generated."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from browser.accessibility import findings
from fakes.pods import FakePod

from flamingo_common import errors
from flamingo_common.service import http

NAMES = ("a, first.wav", "b.wav", "c.wav")
DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    transfer.items.add(new File([new Uint8Array(content)], name));
  }
  const drop = new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
  document.querySelector("main").dispatchEvent(drop);
}"""
PHONE = {"width": 390, "height": 800}


class PickyPod(FakePod):
    """Refuses the file `b.wav`."""

    is_picky = True

    async def _answer(self, request):
        if self.is_picky and b'filename="b.wav"' in await request.read():
            return http.error_response(errors.InvalidAudio("the audio cannot be decoded"))
        return await super()._answer(request)


@pytest.fixture
def songs(tmp_path, song):
    paths = [tmp_path / name for name in NAMES]
    for path in paths:
        shutil.copy(song, path)
    return [str(path) for path in paths]


def form(received):
    fields = re.search(rb'name="request"\r\n\r\n(.*?)\r\n--', received.body, re.DOTALL)
    return json.loads(fields[1])


def saved(site, button):
    with site.page.expect_download() as download:
        site.page.click(button)
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_several_dropped_files_are_captioned_and_downloaded(visit, songs):
    site = visit(FakePod(words=('A "quiet"\n', "song, slowly.")))
    site.page.evaluate(DROP, [[Path(song).name, list(Path(song).read_bytes())] for song in songs])
    site.has("#files-summary", "0 of 3 captioned")
    site.has("#clip-name", NAMES[0])
    site.page.click("#styles >> text=Brief")
    site.page.click("#files-start")
    site.has("#files-summary", "3 of 3 captioned")
    site.has("#files-rows tr:last-child", 'A "quiet"')
    assert [form(one) for one in site.pod.received] == [{"style": "brief", "stream": True}] * 3
    rows = list(csv.DictReader(io.StringIO(saved(site, "#files-csv").removeprefix("\ufeff"))))
    assert [row["file"] for row in rows] == list(NAMES)
    assert {row["caption"] for row in rows} == {'A "quiet"\nsong, slowly.'}
    assert {(row["finish_reason"], row["error"]) for row in rows} == {("stop", "")}
    lines = [json.loads(line) for line in saved(site, "#files-jsonl").splitlines()]
    assert [line["file"] for line in lines] == list(NAMES)
    assert lines[0]["audio_seconds"] == 0.4
    assert lines[0]["request_id"].startswith("req-")
    assert site.console_errors == []


def test_a_file_that_fails_keeps_its_error_and_is_tried_again(visit, songs):
    site = visit(PickyPod())
    site.page.set_input_files("#file", songs)
    site.page.click("#files-start")
    site.has("#files-summary", "2 of 3 captioned, 1 failed")
    site.has("#files-rows tr:nth-child(2)", "The audio cannot be decoded.")
    lines = [json.loads(line) for line in saved(site, "#files-jsonl").splitlines()]
    assert [line["error"] is None for line in lines] == [True, False, True]
    num_sent = len(site.pod.received)
    site.pod.is_picky = False
    site.has("#files-start", "Caption all")
    site.page.click("#files-start")
    site.has("#files-summary", "3 of 3 captioned")
    assert len(site.pod.received) == num_sent + 1, "what was captioned is not captioned again"


def test_a_busy_server_is_asked_again(visit, songs):
    busy = errors.Overloaded("the fleet is busy", retry_after_s=1)
    site = visit(FakePod(fails_with=busy, num_failures=2))
    site.page.set_input_files("#file", songs)
    site.page.click("#files-start")
    site.has("#files-summary", "3 of 3 captioned")
    assert "failed" not in site.page.inner_text("#files-summary")


def test_another_style_captions_all_again(visit, songs):
    site = visit(FakePod())
    site.page.set_input_files("#file", songs)
    site.page.click("#files-start")
    site.has("#files-summary", "3 of 3 captioned")
    site.has("#files-start", "Caption all")
    site.page.click("#styles >> text=Technical")
    site.page.click("#files-start")
    site.until(lambda: len(site.pod.received) == 6)
    assert form(site.pod.received[-1])["style"] == "technical"


def test_a_name_opens_the_clip_and_the_table_can_be_closed(visit, songs):
    site = visit(FakePod())
    site.page.set_input_files("#file", songs)
    site.page.click("#files-rows >> text=c.wav")
    site.has("#clip-name", "c.wav")
    site.page.click("#files-clear")
    site.shows("#files", visible=False)
    site.has("#clip-name", "c.wav")


def test_several_links_are_listed(visit):
    site = visit(FakePod())
    site.page.fill("#link", "https://a.example.com/1.mp3 https://a.example.com/2.mp3")
    site.page.press("#link", "Enter")
    site.page.click("#files-start")
    site.has("#files-summary", "2 of 2 captioned")
    lines = [json.loads(line) for line in saved(site, "#files-jsonl").splitlines()]
    assert [line["url"][-5:] for line in lines] == ["1.mp3", "2.mp3"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_table_and_the_history_are_accessible_and_fit_a_phone(visit, songs, scheme):
    site = visit(PickyPod(), color_scheme=scheme, viewport=PHONE)
    site.has("#model", "fake")
    site.page.set_input_files("#file", songs)
    site.page.click("#files-start")
    site.has("#files-summary", "2 of 3 captioned, 1 failed")
    site.page.click("#history-list li:first-child summary")
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert findings(site.page) == []


def test_what_was_generated_is_kept_without_audio_and_can_be_deleted(visit, song):
    site = visit(FakePod())
    site.has("#model", "fake")
    site.shows("#history", visible=False)
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "a quiet song")
    site.has("#history-summary", "2")
    site.page.reload()
    site.has("#history-list li:first-child", "Which key?")
    site.has("#history-list li:last-child", "detailed caption")
    entries = [json.loads(line) for line in saved(site, "#history-save").splitlines()]
    assert [entry["kind"] for entry in entries] == ["question", "caption"]
    assert set(entries[0]) == {"at", "clip", "kind", "prompt", "text", "model"}
    assert (entries[0]["clip"], entries[0]["model"]) == ("song.wav", "fake")
    site.page.once("dialog", lambda dialog: dialog.accept())
    site.page.click("#history-clear")
    site.shows("#history", visible=False)
    assert site.page.evaluate("() => localStorage.length") == 0
    assert site.console_errors == []


def test_nothing_is_added_while_the_history_is_off(visit, song):
    site = visit(FakePod())
    site.choose(song)
    site.page.click("#generate")
    site.has("#history-summary", "1")
    site.page.click("#history-keep")
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "a quiet song")
    site.page.reload()
    site.has("#history-summary", "1")
    assert not site.page.is_checked("#history-keep")


def test_a_damaged_history_is_no_obstacle(visit, song):
    site = visit(FakePod())
    site.page.evaluate("() => localStorage.setItem('flamingo.history', '{nonsense')")
    site.page.reload()
    site.has("#model", "fake")
    site.choose(song)
    site.page.click("#generate")
    site.has("#history-summary", "1")
    assert site.console_errors == []
