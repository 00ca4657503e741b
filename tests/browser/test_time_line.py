"""The picture of a clip: spectrogram, zoom, the part that is used, and what follows playback."""

import json
import math
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from browser.accessibility import findings
from fakes.holding_clips_pod import HoldingClipsPod
from fakes.pods import FakePod

RATE_HZ, SONG_S = 16_000, 20
PIXELS = """(id) => {
  const canvas = document.getElementById(id);
  const {width, height} = canvas;
  const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
  return {width, height, data: [...data]};
}"""


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> str:
    """Ten seconds of 440 Hz, then ten of 3520 Hz."""
    path = tmp_path_factory.mktemp("tones") / "two tones.wav"
    times = np.arange(RATE_HZ * SONG_S) / RATE_HZ
    samples = 9000 * np.sin(2 * math.pi * np.where(times < SONG_S / 2, 440, 3520) * times)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        out.writeframes(samples.astype("<i2").tobytes())
    return str(path)


def opened(visit, tones, **context):
    site = visit(FakePod(), **context)
    site.has("#model", "fake")
    site.choose(tones)
    site.shows("#clip-tools")
    return site


def drag(site, start, end):
    """Drag over the picture, from one fraction of its width to another."""
    site.page.locator("#waveform").scroll_into_view_if_needed()
    box = site.page.locator("#waveform").bounding_box()
    y = box["y"] + box["height"] / 2
    site.page.mouse.move(box["x"] + start * box["width"], y)
    site.page.mouse.down()
    site.page.mouse.move(box["x"] + (start + end) / 2 * box["width"], y)
    site.page.mouse.move(box["x"] + end * box["width"], y)
    site.page.mouse.up()


def sent(pod):
    """Return the fields of the form that the pod received last."""
    form = re.search(rb'name="request"\r\n\r\n(.*?)\r\n--', pod.received[-1].body, re.DOTALL)
    return json.loads(form[1])


def write_part(site, start, end):
    """Write the times of a part, as a person who leaves each field with the Tab key."""
    for field, text in (("#part-start", start), ("#part-end", end)):
        site.page.fill(field, text)
        site.page.press(field, "Tab")


def test_a_part_is_selected_and_its_times_are_sent(visit, tones):
    site = opened(visit, tones)
    drag(site, 0.55, 0.75)
    site.shows("#part")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    fields = sent(site.pod)
    assert fields["start"] == pytest.approx(11, abs=0.1)
    assert fields["end"] == pytest.approx(15, abs=0.1)
    assert Path(tones).read_bytes() in site.pod.received[-1].body
    site.page.click("#part-clear")
    site.shows("#part-hint")
    site.page.click("#generate")
    site.until(lambda: len(site.pod.received) == 2)
    assert not {"start", "end"} & set(sent(site.pod))
    assert site.console_errors == []


def test_the_times_of_a_part_can_be_written(visit, tones):
    site = opened(visit, tones)
    write_part(site, "2.5", "0:07")
    site.has("#part-text", "0:02.5\N{EN DASH}0:07.0")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    assert (sent(site.pod)["start"], sent(site.pod)["end"]) == (2.5, 7)
    write_part(site, "5", "1:00")  # behind the clip: up to its end
    site.has("#part-text", "0:05.0\N{EN DASH}0:20.0")
    site.page.click("#generate")
    site.until(lambda: len(site.pod.received) == 2)
    assert sent(site.pod)["start"] == 5
    assert "end" not in sent(site.pod)
    write_part(site, "", "")
    site.shows("#part-hint")


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("soon", "", "Write a time as seconds, or as minutes:seconds, such as 1:05.2."),
        ("7", "0:05", "The part has to end after it begins."),
        ("25", "", "The clip is only 0:20.0 long."),
    ],
)
def test_times_that_are_no_part_are_refused_at_the_fields(visit, tones, start, end, message):
    site = opened(visit, tones)
    write_part(site, start, end)
    site.has("#part-error", message)
    assert site.page.get_attribute("#part-start", "aria-invalid") == "true"
    write_part(site, "1", "")
    site.has("#part-text", "0:01.0\N{EN DASH}0:20.0")
    site.shows("#part-error", visible=False)


def test_a_part_of_a_link_is_selected_by_its_times(visit):
    site = visit(FakePod())
    site.has("#model", "fake")
    site.page.fill("#link", "https://example.com/mix.mp3")
    site.page.press("#link", "Enter")
    site.shows("#part-start")
    write_part(site, "1:02:03", "")
    site.has("#part-text", "62:03.0\N{EN DASH}end")
    site.shows("#part-play", visible=False)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    fields = json.loads(site.pod.received[-1].body)
    assert fields["start"] == 3723
    assert "end" not in fields
    assert fields["audio"] == {"url": "https://example.com/mix.mp3"}
    assert site.console_errors == []


def test_a_clip_that_was_sent_is_not_sent_again_for_its_parts(visit, tones):
    site = visit(HoldingClipsPod())
    site.has("#model", "fake")
    site.choose(tones)
    site.shows("#clip-tools")
    for number, end in enumerate(("6", "9", ""), 1):
        write_part(site, "", end)
        site.shows("#part", visible=bool(end))
        site.page.click("#generate")
        site.until(lambda number=number: len(site.pod.sent) == number)
        site.has("#caption[aria-busy=false]", "a quiet song")
    clip_id = next(iter(site.pod.held))
    assert site.pod.sent == [Path(tones).read_bytes(), clip_id, clip_id]


def test_the_copied_commands_have_the_times_and_the_name_of_the_whole_file(visit, tones):
    site = opened(visit, tones, permissions=["clipboard-read", "clipboard-write"])
    write_part(site, "2", "6")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    python = site.copied("#caption-python")
    assert 'client.caption("two tones.wav", style="detailed", start=2, end=6)' in python
    curl = site.copied("#caption-curl")
    assert 'file=@"two tones.wav"' in curl
    assert '"start":2,"end":6' in curl
    assert '"start":2,"end":6' in site.copied("#caption-javascript")


def test_a_part_is_selected_with_the_keyboard(visit, tones):
    site = opened(visit, tones)
    site.page.focus("#waveform")
    site.page.keyboard.press("ArrowRight")
    site.has("#time", "0:05 / 0:20")
    site.page.keyboard.press("[")
    site.has("#part-text", "0:05.0\N{EN DASH}0:20.0")
    site.page.keyboard.press("ArrowRight")
    site.has("#time", "0:10 / 0:20")
    site.page.keyboard.press("]")
    site.has("#part-text", "0:05.0\N{EN DASH}0:10.0")
    site.page.keyboard.press("Escape")
    site.shows("#part", visible=False)
    assert site.console_errors == []


def test_the_played_part_stops_at_its_end(visit, tones):
    site = opened(visit, tones)
    site.page.focus("#waveform")
    site.page.keyboard.press("End")
    site.has("#time", "0:20 / 0:20")
    site.page.keyboard.press("ArrowLeft")
    site.has("#time", "0:15 / 0:20")
    drag(site, 0.5, 0.53)
    site.page.click("#part-play")
    site.until(lambda: site.page.evaluate("() => audio.paused && audio.currentTime > 10.4"))
    assert site.page.evaluate("() => audio.currentTime") < 12


def test_another_part_begins_another_conversation(visit, tones):
    site = opened(visit, tones)
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "a quiet song")
    drag(site, 0.1, 0.3)
    site.shows("#part")
    site.ask("And here?")
    site.has("#log .separator", "A new conversation, about two tones 2.0-6.0 s.wav")
    site.has("#log .exchange:last-child .generated[aria-busy=false]", "a quiet song")
    assert [message["content"] for message in sent(site.pod)["messages"]] == ["And here?"]


def brightest_row(site, column):
    """Return how far down the brightest pixel of a column is, as a fraction."""
    shown = site.page.evaluate(PIXELS, "waveform")
    image = np.array(shown["data"]).reshape(shown["height"], shown["width"], 4)
    return np.argmax(image[:, int(column * shown["width"]), :3].sum(axis=1)) / shown["height"]


def test_the_spectrogram_shows_low_and_high_tones(visit, tones):
    site = opened(visit, tones)
    site.page.click("text=Spectrogram")
    site.until(lambda: brightest_row(site, 0.25) > 0.5 and brightest_row(site, 0.75) < 0.3)
    for _ in range(3):
        site.page.click("#zoom-in")  # at the beginning, where only the low tone is
    site.until(lambda: brightest_row(site, 0.75) > 0.5)
    for _ in range(3):
        site.page.click("#zoom-out")
    site.until(lambda: brightest_row(site, 0.75) < 0.3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tools_are_accessible_and_fit_a_phone(visit, tones, scheme):
    width = 390
    site = opened(visit, tones, color_scheme=scheme, viewport={"width": width, "height": 800})
    site.page.focus("#waveform")
    site.page.keyboard.press("ArrowRight")
    site.has("#time", "0:05 / 0:20")
    site.page.keyboard.press("]")
    site.shows("#part")
    site.page.click("#embed")
    site.shows("#similarity-figure")
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == width
    assert findings(site.page) == []


def test_the_pictures_of_the_embedding_follow_playback_and_seek(visit, tones):
    site = opened(visit, tones)
    site.page.click("#embed")
    site.shows("#similarity-figure")
    place = "() => document.querySelector('.playhead').style.insetInlineStart"
    site.page.press("#waveform", "End")
    site.until(lambda: site.page.evaluate(place) == "100%")
    site.page.click("#heatmap", position={"x": 2, "y": 20})
    site.until(lambda: site.page.evaluate("() => audio.currentTime") < 1)
    site.until(lambda: site.page.evaluate(place) != "100%")
    assert site.console_errors == []
