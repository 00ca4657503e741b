"""Two clips side by side, and a clip from the microphone."""

import io
import json
import re
import shutil

import av
import numpy as np
import pytest
from browser.accessibility import findings
from fakes.pods import FakePod

PHONE = {"width": 390, "height": 800}


@pytest.fixture
def other(tmp_path, song):
    path = tmp_path / "other.wav"
    shutil.copy(song, path)
    return str(path)


def forms(pod):
    found = (
        re.search(rb'name="request"\r\n\r\n(.*?)\r\n--', one.body, re.DOTALL)
        for one in pod.received
    )
    return [json.loads(one[1]) for one in found]


def test_two_clips_are_compared(visit, song, other):
    site = visit(FakePod())
    site.choose(song)
    site.shows("#compare")
    site.page.set_input_files("#compare-file", other)
    site.has("#compare-first", "song.wav")
    site.has("#compare-second", "other.wav")
    site.page.click("#styles >> text=Brief")
    site.page.click("#compare-start")
    site.has("#compare-result", "Similarity 1.000")
    site.has("#compare-caption-1[aria-busy=false]", "a quiet song")
    site.has("#compare-caption-2[aria-busy=false]", "a quiet song")
    captions = [form for form in forms(site.pod) if "style" in form]
    assert captions == [{"style": "brief", "stream": True}] * 2
    assert [form["pooling"] for form in forms(site.pod) if "layer" in form] == ["mean"] * 2
    site.has("#history-summary", "2")
    site.choose(other)
    site.shows("#compare-result", visible=False)
    assert site.console_errors == []


def test_a_listed_file_is_compared_with_the_open_clip(visit, song, other):
    site = visit(FakePod())
    site.page.set_input_files("#file", [song, other])
    site.page.click("#files-rows tr:last-child >> text=Compare")
    site.has("#compare-first", "song.wav")
    site.has("#compare-second", "other.wav")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_comparison_is_accessible_and_fits_a_phone(visit, song, other, scheme):
    site = visit(FakePod(), color_scheme=scheme, viewport=PHONE)
    site.choose(song)
    site.shows("#compare")
    site.page.set_input_files("#compare-file", other)
    site.page.click("#compare-start")
    site.has("#compare-result", "Similarity 1.000")
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert findings(site.page) == []


def test_a_recording_becomes_the_clip(visit):
    site = visit(FakePod(), permissions=["microphone"])
    site.has("#model", "fake")
    site.page.click("#record")
    site.shows("#recording")
    site.has("#recording-time", "0:02")
    site.page.click("#record-stop")
    site.has("#clip-name", "recording ")
    site.shows("#recording", visible=False)
    site.shows("#clip-tools")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    body = site.pod.received[-1].body
    sent = re.search(rb'name="file"; .*?\r\n\r\n(.*)\r\n--', body, re.DOTALL)
    with av.open(io.BytesIO(sent[1])) as recording:
        frames = [frame.to_ndarray() for frame in recording.decode(audio=0)]
    samples = np.concatenate(frames, axis=1)
    assert samples.shape[1] > 48_000, "more than a second"
    assert np.abs(samples).max() > 0.003, "the microphone of the test beeps"
    assert site.console_errors == []


def test_a_microphone_that_is_refused_is_an_error(visit):
    site = visit(FakePod())
    site.has("#model", "fake")
    site.page.click("#record")
    site.has("#clip-error", "The browser does not let this page use the microphone.")
    site.shows("#recording", visible=False)
