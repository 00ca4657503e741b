"""The picture of a clip: spectrogram, zoom, the part that is used, and what follows playback."""

import io
import json
import math
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from browser.accessibility import findings
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


def sent_file(pod):
    """Return the name and the samples of the file that the pod received last."""
    found = re.search(
        rb'name="file"; filename="([^"]*)"\r\n.*?\r\n\r\n(.*)\r\n--',
        pod.received[-1].body,
        re.DOTALL,
    )
    with wave.open(io.BytesIO(found[2])) as clip:
        samples = np.frombuffer(clip.readframes(clip.getnframes()), "<i2").astype(float)
        return found[1].decode(), clip.getframerate(), samples


def pitch_hz(samples):
    return np.argmax(np.abs(np.fft.rfft(samples))) * RATE_HZ / len(samples)


def test_a_part_is_selected_and_only_it_is_sent(visit, tones):
    site = opened(visit, tones)
    drag(site, 0.55, 0.75)
    site.shows("#part")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    name, rate_hz, samples = sent_file(site.pod)
    assert rate_hz == RATE_HZ
    assert re.fullmatch(r"two tones 1[01]\.\ds-1[45]\.\ds\.wav", name)
    assert abs(len(samples) / RATE_HZ - 4) < 0.2
    assert abs(pitch_hz(samples) - 3520) < 5
    site.page.click("#part-clear")
    site.shows("#part-hint")
    site.page.click("#generate")
    site.until(lambda: len(site.pod.received) == 2)
    assert Path(tones).read_bytes() in site.pod.received[-1].body
    assert site.console_errors == []


def test_the_saved_part_is_the_file_of_the_copied_command(visit, tones):
    site = opened(visit, tones, permissions=["clipboard-read", "clipboard-write"])
    drag(site, 0.1, 0.3)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    with site.page.expect_download() as download:
        site.page.click("#part-save")
    assert download.value.suggested_filename in site.copied("#caption-curl")
    assert Path(download.value.path()).read_bytes() in site.pod.received[-1].body


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
    site.has("#log .separator", "A new conversation, about two tones 2.0s-6.0s.wav")
    site.has("#log .exchange:last-child .generated[aria-busy=false]", "a quiet song")
    form = re.search(rb'name="request"\r\n\r\n(.*?)\r\n--', site.pod.received[-1].body, re.DOTALL)
    assert [message["content"] for message in json.loads(form[1])["messages"]] == ["And here?"]


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
