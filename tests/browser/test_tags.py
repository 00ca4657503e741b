"""Tags on the web page: the request, the bars and numbers, and what can be copied and saved."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser.accessibility import findings
from fakes.deciding_pod import DecidingPod
from fakes.patience import PATIENCE_S

from flamingo.client import taxonomies
from flamingo_common.errors import AudioTooLong

CLIPBOARD = ["clipboard-read", "clipboard-write"]
AT_FIRST = ["genre", "mood", "instruments"]
PHONE = {"width": 390, "height": 800}


class TaggingPod(DecidingPod):
    """Streams captions as well, and holds clips by an id."""

    async def _answer(self, request):
        answer = await super()._answer(request)
        if not answer.prepared:
            answer.headers["x-flamingo-audio-id"] = "clip-1"
        return answer


def questions(*names):
    return [each for name in names for each in taxonomies.load(name).questions()]


def tagged(visit, song, *names, **context):
    """Open the page with a clip, and ask for the tags of some taxonomies, or for those at first."""
    site = visit(TaggingPod(), **context)
    site.has("#model", "fake")
    site.choose(song)
    site.shows("#tag")
    for name in AT_FIRST if names else ():
        site.page.uncheck(f'[name="taxonomy"][value="{name}"]')
    for name in names:
        site.page.check(f'[name="taxonomy"][value="{name}"]')
    site.page.click("#tag")
    site.shows("#tags-json")
    return site


def run(command, song):
    """Run a copied command in the folder of the song; return its output."""
    return subprocess.run(
        command,
        cwd=Path(song).parent,
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    ).stdout


def test_the_likeliest_tags_of_each_taxonomy_come_first(visit, song):
    site = tagged(visit, song)
    assert site.pod.asked == {"questions": questions(*AT_FIRST)}
    assert site.page.locator(".tag-group h3").all_inner_texts() == AT_FIRST
    genres = site.page.locator(".tag-group").first
    # The pod gives the last of 16 choices 16/136.
    assert genres.locator("> .tag-list li").first.inner_text().split("\n") == ["Spoken", "11.8 %"]
    assert genres.locator("> .tag-list li").count() == 5
    assert genres.locator("summary").inner_text() == "11 more"
    assert not genres.get_by_text("Blues").is_visible()
    genres.locator("summary").click()
    genres.get_by_text("Blues").wait_for()
    assert site.console_errors == []


def test_all_likely_tags_are_shown_and_bars_are_as_long_as_their_numbers(visit, song):
    site = tagged(visit, song, "mood")
    moods = site.page.locator(".tag-group > .tag-list li")
    assert moods.count() == 12  # of 27 predicates those with 0.5 to 0.9
    assert moods.first.locator(".tag-value").inner_text() == "90.0 %"
    bar = moods.first.locator(".tag-bar").bounding_box()
    filled = moods.first.locator(".tag-bar span").bounding_box()
    assert filled["width"] / bar["width"] == pytest.approx(0.9, abs=0.02)


def test_a_second_request_does_not_send_the_clip_again(visit, song):
    site = tagged(visit, song, "voice")
    assert Path(song).read_bytes() in site.pod.received[-1].body
    site.page.click("#tag")
    site.until(lambda: len(site.pod.received) == 2)
    site.shows("#tags-json")
    assert b"clip-1" in site.pod.received[-1].body
    assert Path(song).read_bytes() not in site.pod.received[-1].body


def test_the_saved_json_is_that_of_the_command_line(visit, song):
    site = tagged(visit, song, "voice", "era")
    with site.page.expect_download() as download:
        site.page.click("#tags-json")
    assert download.value.suggested_filename == "song tags.json"
    saved = json.loads(Path(download.value.path()).read_text())
    assert (saved["file"], saved["model"]) == ("song.wav", "fake")
    assert list(saved["tags"]) == ["voice", "era"]
    assert saved["tags"]["voice"][0] == {"label": "no one", "probability": 1 / 21}
    assert saved["usage"]["audio_seconds"] == 1.5


def test_the_request_can_be_copied_in_every_form(visit, song):
    site = tagged(visit, song, "voice", permissions=CLIPBOARD)
    program = site.copied("#tags-python")
    assert 'client.tag("song.wav", "voice").tags' in program
    assert "a choir" in run([sys.executable, "-c", program], song)
    assert site.pod.asked["questions"] == questions("voice")
    if shutil.which("curl"):
        answer = json.loads(run(["sh", "-c", site.copied("#tags-curl")], song))
        assert answer["answers"][0]["choice"] == "a speaker"
    if shutil.which("node"):
        program = site.copied("#tags-javascript")
        answers = json.loads(run(["node", "--input-type=module", "-e", program], song))
        assert answers[0]["choice"] == "a speaker"


def test_a_link_is_asked_about_as_a_message(visit):
    site = visit(TaggingPod())
    site.has("#model", "fake")
    site.page.fill("#link", "https://example.com/song.mp3")
    site.page.press("#link", "Enter")
    site.shows("#tag")
    site.page.click("#tag")
    site.shows("#tags-json")
    part = {"type": "audio_url", "audio_url": {"url": "https://example.com/song.mp3"}}
    assert site.pod.asked["input"] == [{"role": "user", "content": [part]}]


def test_without_a_taxonomy_nothing_is_sent(visit, song):
    site = visit(TaggingPod())
    site.has("#model", "fake")
    site.choose(song)
    site.shows("#tag")
    for name in AT_FIRST:
        site.page.uncheck(f'[name="taxonomy"][value="{name}"]')
    site.page.click("#tag")
    site.has("#tags-error", "Choose at least one kind of tags.")
    assert site.pod.received == []


def test_an_error_has_its_remedy(visit, song):
    site = visit(TaggingPod(fails_with=AudioTooLong("too long"), num_failures=1))
    site.has("#model", "fake")
    site.choose(song)
    site.shows("#tag")
    site.page.click("#tag")
    site.has("#tags-error", "This clip is longer than what the model hears.")
    site.page.click("#tags-error .remedy")
    site.shows("#tags-json")
    site.shows("#tags-error", visible=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tags_are_accessible_and_fit_a_phone(visit, song, scheme):
    site = tagged(visit, song, color_scheme=scheme, viewport=PHONE)
    site.page.locator(".tag-group summary").first.click()
    site.page.get_by_text("Blues").wait_for()
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert findings(site.page) == []
