"""Recipes on the web page: buttons, cards, and sections along the time line."""

import json

import pytest
from aiohttp import web
from browser.accessibility import findings
from fakes import pods
from fakes.pods import FakePod

from flamingo_common.wire import sse
from flamingo_common.wire.answers import (
    AnalysisChunk,
    Answer,
    AnswerError,
    AnswerUsage,
    RecipeCard,
    TimedLine,
    TimedSection,
)
from flamingo_common.wire.measured import Comparison, Measured

PICTURE = "document.querySelector('#waveform').toDataURL()"
PHONE = {"width": 390, "height": 800}
SCRIPT = """<img src=x onerror="document.title='owned'">"""
USAGE = AnswerUsage(prompt_tokens=1, completion_tokens=1)
RECIPES = tuple(
    RecipeCard(name=name, description=f"The {name}.", prompt="a") for name in ("card", "lyrics")
)
SECTIONS = [
    TimedSection(name="Intro", start_s=0, end_s=0.5, description="Soft piano"),
    TimedSection(
        name="Verse 1",
        start_s=0.5,
        lines=[TimedLine(text=f"Grey {SCRIPT}", start_s=0.6), TimedLine(text="Slow", start_s=1.2)],
    ),
    TimedSection(name="Outro", start_s=9, end_s=12),
]
CARD = {"genre": ["rock", SCRIPT], "bpm": 120, "language": None}
CONFIDENCE = {"/genre/0": 0.814, "/genre/1": 0.002, "/bpm": 0.333}


class RecipePod(FakePod):
    """Streams a card, lyrics, or an error."""

    measured = None

    async def _stream(self, request):
        body = self.received[-1].body
        name = "card" if b'"recipe":"card"' in body else "lyrics"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        common = {"id": "x", "created": 0, "model": "fake", "name": name}
        answer = self.answer(name)
        for event in (
            AnalysisChunk(delta="Half a text", **common),
            AnalysisChunk(delta="", answer=answer, finish_reason=answer.finish_reason, **common),
            AnalysisChunk(
                delta="", usage=pods.USAGE, measured=self.measured, **{**common, "name": None}
            ),
        ):
            await response.write(sse.encode_event(event.model_dump_json()))
        await response.write(sse.DONE)
        return response

    def answer(self, name):
        common = {"content": "Half a text", "finish_reason": "stop", "usage": USAGE}
        if name == "card":
            return Answer(parsed=CARD, confidence=CONFIDENCE, **common)
        return Answer(sections=SECTIONS, faults=["section 3 (Outro): starts too late"], **common)


class MeasuringPod(RecipePod):
    """Answers a card, and what was measured."""

    measured = Measured(
        tempo_bpm=60.12,
        beats_s=[0.25, 1.25],
        loudness_lufs=-13.96,
        true_peak_dbtp=-0.8,
        reasons={"key": SCRIPT, "loudness_range_lu": "the clip is shorter than 3 s"},
    )

    def answer(self, name):
        found = Comparison(field="bpm", answer=120, measured=60.12, agrees=False, relation="double")
        return super().answer(name).model_copy(update={"comparisons": [found]})


class CutPod(RecipePod):
    def answer(self, name):
        error = AnswerError(code="answer_incomplete", message="the answer is not complete")
        return Answer(content="{", finish_reason="length", usage=USAGE, error=error)


@pytest.fixture
def asked(visit, song):
    """Open the page with a clip, and press the button of a recipe."""

    def ask(name, pod=None):
        site = visit(pod or RecipePod(recipes=RECIPES))
        site.drop(song)
        site.has("#waveform", "")
        site.has("#recipe-buttons", name)
        site.page.get_by_role("button", name=name, exact=True).click()
        return site

    return ask


def test_a_card_is_a_table(asked):
    site = asked("card")
    site.has("#recipe-card", "120")
    assert site.page.locator("#recipe-card dt").all_inner_texts() == ["genre", "bpm", "language"]
    assert site.page.locator("#recipe-card dd").all_inner_texts() == [
        f"rock 81 %, {SCRIPT} < 1 %",
        "120 33 %",
        "\N{EN DASH}",
    ]
    assert site.page.title() != "owned"
    assert site.page.locator("#recipe-text").inner_text() == ""
    sent = site.pod.received[-1]
    assert sent.path == "/v1/audio/analyze"
    assert json.loads(sent.body.split(b"\r\n\r\n")[1].split(b"\r\n")[0]) == {
        "questions": [{"name": "card", "recipe": "card"}],
        "confidence": True,
        "stream": True,
    }


def test_what_was_measured_is_beside_the_card_and_its_beats_on_the_time_line(visit, song):
    site = visit(MeasuringPod(recipes=RECIPES))
    site.drop(song)
    site.has("#recipe-buttons", "card")
    assert not site.page.locator("#recipe-measured").is_visible()
    before = site.page.evaluate(PICTURE)
    site.page.get_by_label("Measure tempo, key and loudness").check()
    site.page.get_by_role("button", name="card", exact=True).click()
    site.has("#recipe-measured", "60.1 BPM")
    bpm = site.page.locator("#recipe-card dd").nth(1)
    assert bpm.inner_text() == "120 33 % \N{NOT EQUAL TO} measured: 60.1 (double)"
    assert bpm.locator(".disagrees").count() == 1
    assert site.page.locator("#recipe-measured dd").all_inner_texts() == [
        "60.1 BPM",
        "2",
        f"\N{EN DASH} ({SCRIPT})",
        "-14.0 LUFS",
        "\N{EN DASH} (the clip is shorter than 3 s)",
        "-0.8 dBTP",
    ]
    assert site.page.evaluate(PICTURE) != before
    assert b'"measure":true' in site.pod.received[-1].body
    assert site.page.title() != "owned"
    site.drop(song)
    site.page.locator("#recipe-measured").wait_for(state="hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_was_measured_is_accessible_and_fits_a_phone(visit, song, scheme):
    site = visit(MeasuringPod(recipes=RECIPES), color_scheme=scheme, viewport=PHONE)
    site.drop(song)
    site.has("#recipe-buttons", "card")
    site.page.get_by_label("Measure tempo, key and loudness").check()
    site.page.get_by_role("button", name="card", exact=True).click()
    site.has("#recipe-measured", "60.1 BPM")
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert findings(site.page) == []


def test_a_question_can_be_copied_as_a_program(visit, song):
    context = {"permissions": ["clipboard-read", "clipboard-write"]}
    site = visit(RecipePod(recipes=RECIPES), **context)
    site.drop(song)
    site.has("#recipe-buttons", "card")
    site.page.get_by_role("button", name="card", exact=True).click()
    site.has("#recipe-card", "120")
    program = site.copied("#answer-python")
    assert (
        'client.analyze("song.wav", questions=[{"name": "card", "recipe": "card"}], confid'
        in program
    )


def test_sections_are_drawn_along_the_time_line_and_can_be_clicked(asked):
    site = asked("lyrics")
    site.has("#recipe-sections", "Soft piano")
    bars = site.page.locator(".section-bar")
    assert bars.all_inner_texts() == ["Intro", "Verse 1"]
    strip = site.page.locator(".section-strip").bounding_box()
    verse = bars.nth(1).bounding_box()
    assert abs(verse["x"] - strip["x"] - strip["width"] / 4) < 3
    assert abs(verse["width"] - strip["width"] * 3 / 4) < 3
    bars.nth(1).click()
    site.page.locator('.section-bar[aria-current="true"]', has_text="Verse 1").wait_for()
    line = site.page.get_by_role("button", name="0:01 Slow")
    line.click()
    site.page.locator('.section-list [aria-current="true"]', has_text="Slow").wait_for()
    assert site.page.evaluate("document.querySelector('#audio').currentTime") == pytest.approx(1.2)


def test_what_has_no_time_in_the_clip_is_listed_without_a_button(asked):
    site = asked("lyrics")
    site.has("#recipe-sections", "Outro")
    assert site.page.locator("li", has_text="Outro").locator("button").count() == 0
    site.has("#recipe-sections summary", "1 doubtful time")


def test_an_answer_that_is_cut_is_an_error(asked):
    site = asked("card", pod=CutPod(recipes=RECIPES))
    site.has("#recipe-error", "The answer is not complete.")
    site.has("#recipe-text", "Half a text")


def test_a_server_without_recipes_shows_no_panel(visit, song):
    site = visit(FakePod())
    site.drop(song)
    site.has("#caption-title", "Caption")
    site.page.locator("#recipes").wait_for(state="hidden")
