"""LRC, SRT and WebVTT of an answer."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.timed_text import cues, render
from flamingo_common.timed_text.content import Line, Section, TimedText
from flamingo_common.timed_text.cues import Cue
from flamingo_common.timed_text.parse import parse

SONG = TimedText(
    (
        Section("Intro", 0.0, 4.0, description="Soft piano"),
        Section(
            "Verse 1",
            4.0,
            12.0,
            (Line("Grey <is> the harbour", 4.25), Line("Slow & low", 8.0, 9.5)),
        ),
        Section("Chorus", 12.0, 20.0, (Line("Oh"), Line("oh"))),
    )
)


def test_lrc_has_a_tag_for_each_line():
    assert render.lrc(SONG, 30.0) == (
        "[00:00.00][Intro] Soft piano\n[00:04.25]Grey <is> the harbour\n[00:08.00]Slow & low\n"
        "[00:12.00]Oh\n[00:12.00]oh\n"
    )


def test_srt_has_a_block_for_each_cue():
    assert render.srt(SONG, 30.0) == (
        "1\n00:00:00,000 --> 00:00:04,000\n[Intro] Soft piano\n\n"
        "2\n00:00:04,250 --> 00:00:08,000\nGrey <is> the harbour\n\n"
        "3\n00:00:08,000 --> 00:00:09,500\nSlow & low\n\n"
        "4\n00:00:12,000 --> 00:00:20,000\nOh\noh\n"
    )


def test_vtt_escapes_text():
    rendered = render.vtt(SONG, 30.0)
    assert rendered.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:04.000\n[Intro] Soft piano\n\n")
    assert "Grey &lt;is&gt; the harbour" in rendered
    assert "Slow &amp; low" in rendered


UNTIMED = TimedText((Section("A", lines=(Line("first"), Line("second", 2.0, 3.0), Line("third"))),))


def test_lines_without_a_time_keep_their_place_in_lrc():
    assert render.lrc(UNTIMED, 9.0) == "first\n[00:02.00]second\nthird\n"


def test_lines_without_a_time_are_a_comment_in_vtt_and_not_in_srt():
    assert render.vtt(UNTIMED, 9.0).endswith("second\n\nNOTE without a time:\nfirst\nthird\n")
    assert render.srt(UNTIMED, 9.0) == "1\n00:00:02,000 --> 00:00:03,000\nsecond\n"


def test_a_line_without_a_time_is_shown_with_the_one_before_that_has_no_end():
    content = TimedText(
        (Section(None, lines=(Line("first", 1.0), Line("second"), Line("third", 5.0))),)
    )
    assert cues.cues(content, 9.0) == [Cue(1.0, 5.0, "first\nsecond"), Cue(5.0, 9.0, "third")]


@pytest.mark.parametrize("rendered", [render.lrc, render.srt, render.vtt])
@pytest.mark.parametrize("line", [Line("la"), Line("la", 10.0)])
def test_content_without_a_time_in_the_clip_is_refused(rendered, line):
    with pytest.raises(render.NoTimes, match="has no times within the clip"):
        rendered(TimedText((Section("Verse", lines=(line,)),)), 10.0)


TIMES = st.none() | st.floats(0, 100).map(lambda value: round(value, 2))
TEXTS = st.sampled_from(["la", "lo & <lo>", "-->", "It's", "Ünter"])
LINES = st.builds(Line, TEXTS, TIMES, TIMES)
SECTIONS = st.builds(
    Section, st.none() | st.just("Verse 1"), TIMES, TIMES, st.lists(LINES, max_size=4).map(tuple)
)
CONTENTS = st.builds(TimedText, st.lists(SECTIONS, max_size=4).map(tuple))


@given(CONTENTS, st.floats(1, 80))
def test_cues_are_in_order_and_within_the_clip(content, clip_s):
    found = cues.cues(content, clip_s)
    assert all(0 <= cue.start_s < cue.end_s <= clip_s for cue in found)
    assert all(one.start_s <= other.start_s for one, other in itertools.pairwise(found))


@given(CONTENTS, st.floats(1, 80))
def test_no_text_is_lost(content, clip_s):
    shown = [line for entry in cues.entries(content, clip_s) for line in entry.text.splitlines()]
    assert [line.text for line in content.lines] == [line for line in shown if line != "[Verse 1]"]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8, unique=True).map(sorted))
def test_subtitles_are_read_back_as_they_were_rendered(starts_s):
    content = TimedText((Section(None, lines=tuple(Line("la", float(at)) for at in starts_s)),))
    expected = cues.cues(content, 100.0)
    assert cues.cues(parse(render.srt(content, 100.0), 100.0), 100.0) == expected
    assert cues.cues(parse(render.vtt(content, 100.0), 100.0), 100.0) == expected
    assert cues.cues(parse(render.lrc(content, 100.0), 100.0), 100.0) == expected
