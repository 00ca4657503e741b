"""How clips come to the page, and one that is longer than what the model hears."""

import json
import re
import struct
from pathlib import Path

import pytest
from fakes.holding_clips_pod import HoldingClipsPod
from fakes.pods import FakePod

from flamingo_common import errors
from flamingo_common.wire import responses

LINK = "https://songs.example.com/a/My%20Song.mp3?sign=1"
TRANSFER = """([type, text, kind]) => {
  const transfer = new DataTransfer();
  transfer.setData(type, text);
  const event = kind === "paste"
    ? new ClipboardEvent(kind, {clipboardData: transfer, bubbles: true, cancelable: true})
    : new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true});
  document.querySelector("main").dispatchEvent(event);
}"""
TOO_LONG = "This clip is 22 min long, and the model hears at most 20 minutes."


def sent(pod, number=-1):
    """Return the JSON of a request that the pod received."""
    body = pod.received[number].body
    form = re.search(rb'name="request"\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
    return json.loads(form[1] if form else body)


@pytest.fixture(scope="session")
def long_song(tmp_path_factory) -> str:
    """Twenty-two minutes, of which the file has one byte a sample."""
    rate, seconds = 3000, 22 * 60
    path = tmp_path_factory.mktemp("long") / "long.wav"
    header = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        36 + rate * seconds,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate,
        rate,
        1,
        8,
    )
    path.write_bytes(
        header + struct.pack("<4sI", b"data", rate * seconds) + b"\x80" * (rate * seconds)
    )
    return str(path)


def test_a_clip_that_is_too_long_is_refused_before_it_is_sent(visit, long_song):
    site = visit(FakePod())
    site.has("#limits", "audio up to 20 min")
    site.choose(long_song)
    site.has("#length-note", TOO_LONG)
    site.page.click("#generate")
    site.has("#caption-error", TOO_LONG)
    assert site.pod.received == []
    site.page.click("#caption-error >> text=Hear the first 20 minutes")
    site.has("#caption", "a quiet song")
    assert sent(site.pod) == {"style": "detailed", "stream": True, "truncate": True}
    site.has("#length-note", "Only the first 20 minutes are used.")
    site.shows("#hear-beginning", visible=False)
    assert site.console_errors == []


def test_the_beginning_of_a_long_clip_can_be_used_for_everything(visit, long_song):
    site = visit(FakePod())
    site.has("#limits", "audio up to 20 min")
    site.choose(long_song)
    site.page.click("#hear-beginning")
    site.has("#length-note", "Only the first 20 minutes are used.")
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "a quiet song")
    assert sent(site.pod)["truncate"] is True
    site.page.click("#embed")
    site.shows("#heatmap-figure")
    assert sent(site.pod)["truncate"] is True


def test_a_refusal_of_the_server_offers_the_beginning_too(visit, song):
    site = visit(FakePod(fails_with=errors.AudioTooLong("set truncate to true"), num_failures=1))
    site.has("#model", "fake")
    site.choose(song)
    site.ask("Which key?")
    site.has("#chat-error", "This clip is longer than what the model hears.")
    assert "truncate" not in site.page.inner_text("#chat-error")
    assert site.page.input_value("#question") == "Which key?"


def test_a_link_is_sent_as_a_link(visit):
    site = visit(FakePod())
    site.page.fill("#link", LINK)
    site.page.press("#link", "Enter")
    site.has("#clip-name", "My Song.mp3")
    site.shows("#link-note")
    site.shows("#transport", visible=False)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    assert sent(site.pod) == {"style": "detailed", "stream": True, "audio": {"url": LINK}}
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "a quiet song")
    assert sent(site.pod)["messages"][0]["content"] == [
        {"type": "audio_url", "audio_url": {"url": LINK}},
        {"type": "text", "text": "Which key?"},
    ]
    assert site.console_errors == []


@pytest.mark.parametrize(
    ("kind", "type_"),
    [("drop", "text/uri-list"), ("drop", "text/plain"), ("paste", "text/plain")],
)
def test_a_link_can_be_dropped_and_pasted(visit, kind, type_):
    site = visit(FakePod())
    site.has("#model", "fake")
    site.page.evaluate(TRANSFER, [type_, LINK, kind])
    site.has("#clip-name", "My Song.mp3")


@pytest.mark.parametrize("text", ["song.mp3", "ftp://example.com/a.mp3", "javascript:alert(1)"])
def test_what_is_not_a_link_is_refused(visit, text):
    site = visit(FakePod())
    site.page.fill("#link", text)
    site.page.press("#link", "Enter")
    site.has("#clip-error", "This is not a link: its address has to begin with https or http.")
    site.shows("#player", visible=False)


def test_text_that_is_pasted_into_a_field_stays_there(visit, song):
    site = visit(FakePod(), permissions=["clipboard-read", "clipboard-write"])
    site.choose(song)
    site.shows("#question")
    site.page.evaluate("(link) => navigator.clipboard.writeText(link)", LINK)
    site.page.focus("#question")
    site.page.keyboard.press("ControlOrMeta+V")
    site.until(lambda: site.page.input_value("#question") == LINK)
    site.has("#clip-name", "song.wav")


def test_a_link_can_be_used_after_a_file(visit, song):
    site = visit(FakePod())
    site.choose(song)
    site.page.click("#use-link")
    site.page.fill("#link", LINK)
    site.page.click("text=Use this link")
    site.has("#clip-name", "My Song.mp3")
    site.choose(song)
    site.has("#time", "0:00 / 0:02")
    site.shows("#link-note", visible=False)
    assert Path(song).name == site.page.inner_text("#clip-name")


class TimedPod(FakePod):
    """Returns timings with the last event of a stream."""

    def _last_chunk(self, path):
        metrics = responses.RequestMetrics(
            time_to_first_token_ms=30,
            queue_time_ms=10,
            generation_time_ms=1200,
            mean_itl_ms=4,
            tokens_per_second=83.2,
            audio_decode_ms=5.25,
            compute_ms=900,
        )
        return super()._last_chunk(path) | {"metrics": metrics.model_dump()}


def test_the_timings_of_a_request_are_shown(visit, song):
    site = visit(TimedPod())
    site.choose(song)
    site.page.click("#generate")
    site.page.click("#caption-request >> text=Timings")
    for text in (
        "Decode the audio",
        "5.3 ms",
        "Wait in the queue",
        "20 ms",
        "1.20 s",
        "83 tokens/s",
    ):
        site.has("#caption-request .facts", text)
    site.shows("#caption-request .stages")
    site.has("#caption-request .route", "POST /v1/audio/captions · request req-")
    assert site.pod.header_values("x-flamingo-metrics") == ["true"]
    assert site.console_errors == []


def test_a_clip_is_sent_once_and_again_only_when_it_is_not_held_any_more(visit, song):
    pod = HoldingClipsPod()
    site = visit(pod)
    site.choose(song)
    for number, question in enumerate(("Which key?", "Who sings?"), start=1):
        site.ask(question)
        site.has(f"#log .exchange:nth-child({number}) .generated[aria-busy=false]", "song")
    pod.held.clear()
    site.ask("Why?")
    site.has("#log .exchange:nth-child(3) .generated[aria-busy=false]", "song")
    assert [type(each) for each in pod.sent] == [bytes, str, str, bytes]
