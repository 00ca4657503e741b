"""Sections, lines and times of answers in the formats that models write."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.timed_text import cues, json_reader, render, times
from flamingo_common.timed_text.content import Line, Section
from flamingo_common.timed_text.parse import parse

CLIP_S = 60.0


def sections(answer, clip_s=CLIP_S):
    found = parse(answer, clip_s)
    assert found.faults == ()
    return list(found.sections)


def lines(*texts):
    return tuple(Line(text) for text in texts)


def test_lyrics_under_headings_are_sections_with_lines():
    answer = "[Verse 1]\nGrey is the harbour\nSlow is the tide\n\n[Chorus x2]\nOh, oh\n"
    assert sections(answer) == [
        Section("Verse 1", lines=lines("Grey is the harbour", "Slow is the tide")),
        Section("Chorus x2", lines=lines("Oh, oh")),
    ]


@pytest.mark.parametrize(
    "heading",
    [
        "[Chorus]",
        "**Chorus**",
        "**Chorus:**",
        "## Chorus",
        "Chorus:",
        "(Chorus)",
        "Chorus",
        "- [Chorus]",
    ],
)
def test_headings_have_many_spellings(heading):
    assert sections(f"{heading}\nOh, oh") == [Section("Chorus", lines=lines("Oh, oh"))]


@pytest.mark.parametrize(
    "line",
    [
        "**Intro (0:00\u20130:15)**: Soft piano",
        "Intro: 0:00 - 0:15 - Soft piano",
        "1. **[00:00 - 00:15] Intro:** Soft piano",
        "- 0:00-0:15: Intro \u2013 Soft piano",
        "[Intro] (0:00 to 0:15) Soft piano",
        "Intro (0s - 15s): Soft piano",
        "Intro (from 0 to 15 seconds): Soft piano",
        "[0.0 - 15.0] Intro: Soft piano",
        "| Intro | 0:00\u20130:15 | Soft piano |",
        "| Intro | 0:00 | 0:15 | Soft piano |",
        "0:00:00 --> 0:00:15 | Intro | Soft piano",
    ],
)
def test_structure_has_many_spellings(line):
    assert sections(line) == [Section("Intro", 0.0, 15.0, description="Soft piano")]


def test_a_heading_can_have_a_start_only():
    answer = "[Verse 1 | 0:10]\nla la\n[Outro @ 0:25.5]\nbye"
    assert sections(answer) == [
        Section("Verse 1", 10.0, lines=lines("la la")),
        Section("Outro", 25.5, lines=lines("bye")),
    ]


def test_lrc_is_lines_with_starts():
    answer = "[ar:Nameless]\n[00:01.00]Hello\n[00:03.50] World"
    assert sections(answer) == [Section(None, lines=(Line("Hello", 1.0), Line("World", 3.5)))]


def test_subtitles_are_lines_with_starts_and_ends():
    answer = (
        "WEBVTT\n\n1\n00:00:01,000 --> 00:00:03,000\nHello\nthere\n\n"
        "2\n00:00:04,000 --> 00:00:06,000\nWorld\n"
    )
    assert sections(answer) == [
        Section(
            None,
            lines=(Line("Hello", 1.0, 3.0), Line("there", 1.0, 3.0), Line("World", 4.0, 6.0)),
        )
    ]


def test_a_time_can_stand_behind_a_line():
    assert sections("Hello (0:12)") == [Section(None, lines=(Line("Hello", 12.0),))]


def test_a_table_is_read_without_its_header():
    answer = "| Section | Time |\n|---|---|\n| Intro | 0:00\u20130:15 |\n| Verse | 0:15\u20130:40 |"
    assert sections(answer) == [Section("Intro", 0.0, 15.0), Section("Verse", 15.0, 40.0)]


@pytest.mark.parametrize(
    "line",
    [
        "10 seconds to midnight",
        "Meet me at 12:30 tonight",
        "I said it 3 times - to you",
        "[x2]",
        "The end",
    ],
)
def test_a_line_of_lyrics_stays_one(line):
    assert sections(f"[Verse]\n{line}") == [Section("Verse", lines=lines(line))]


def test_an_introduction_is_left_out():
    assert sections("Here are the lyrics:\n\n[Verse]\nla") == [Section("Verse", lines=lines("la"))]


def test_json_has_sections_with_times_as_numbers_or_text():
    answer = json.dumps(
        {
            "sections": [
                {"name": "Intro", "start": "0:00", "end": "0:15", "description": "Soft piano"},
                {
                    "label": "Verse",
                    "start_s": 15,
                    "end_s": 40.5,
                    "lines": ["la", {"text": "lo", "start": 20}],
                },
                {"section": "Outro", "time": "0:40.5 - 1:00", "lyrics": "bye\nbye"},
            ]
        }
    )
    expected = [
        Section("Intro", 0.0, 15.0, description="Soft piano"),
        Section("Verse", 15.0, 40.5, (Line("la"), Line("lo", 20.0))),
        Section("Outro", 40.5, 60.0, lines("bye", "bye")),
    ]
    assert list(parse(answer, CLIP_S).sections) == expected
    assert list(parse(f"```json\n{answer}\n```", CLIP_S).sections) == expected


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("Intro 0:00-0:75", "0:75 is not a valid time"),
        ("Intro 0:15-0:10", "section 1 (Intro): ends at 0:10.0, not after its start at 0:15.0"),
        (
            "Intro 0:00-0:15\nVerse 0:10-0:20",
            "section 2 (Verse): starts at 0:10.0, before section 1 (Intro) ends at 0:15.0",
        ),
        (
            "Intro 0:20-0:25\nVerse 0:10-0:15",
            "section 2 (Verse): starts at 0:10.0, before section 1 (Intro) at 0:20.0",
        ),
        (
            "Intro 0:00-1:10",
            "section 1 (Intro): ends at 1:10.0, after the end of the clip at 1:00.0",
        ),
        ("[1:05] la", "line 1: starts at 1:05.0, after the end of the clip at 1:00.0"),
        ("[Verse 0:00-0:10]\n[0:20] la", "line 1: starts at 0:20.0, outside its section"),
        ("[0:01] la (x2)\n[Verse]\nlo", "1 of 2 lines have no time"),
        ('{"sections": [{"name": "In', "the answer is JSON that is not complete; raise max_tokens"),
        (
            '{"title": "x"}',
            f"the answer's JSON has none of {', '.join(json_reader.LISTS)} as an array",
        ),
        ('[{"name": "A", "start": -1}]', "'-1' is not a valid time"),
    ],
)
def test_wrong_times_are_named_with_their_place(answer, fault):
    assert parse(answer, CLIP_S).faults == (fault,)


def test_wrong_times_stay_as_the_answer_has_them():
    (section,) = parse("Intro 0:50-1:10", CLIP_S).sections
    assert (section.start_s, section.end_s) == (50.0, 70.0)


def test_an_end_that_is_rounded_up_is_right():
    assert parse("Intro 0:00-0:30", 29.4).faults == ()


def test_many_faults_are_counted():
    found = parse("\n".join(f"Verse {at} 9:00-9:10" for at in range(100)), CLIP_S)
    assert len(found.faults) == 33
    assert found.faults[-1] == "and 68 more"


def test_an_empty_answer_has_no_sections():
    assert sections("") == sections(" \n\n") == []


NAMES = st.sampled_from(
    ["Intro", "Verse 1", "Pre-Chorus", "Chorus", "Guitar Solo", "Bridge", "Outro"]
)
TEXTS = st.sampled_from(
    ["Grey is the harbour", "Oh, oh (oh)", "Löwenzahn, weit", "夜の海", "It's 5 - no, 6"]
)
SONGS = st.lists(
    st.tuples(NAMES, st.integers(1, 20), st.lists(TEXTS, max_size=4)), min_size=1, max_size=6
)
LAYOUTS = st.sampled_from(
    [
        "[{name} {span}]",
        "[{name}] ({span})",
        "**{name} ({span})**",
        "### {name}: {span}",
        "[{span}] {name}",
        "{name} [{span}]:",
    ]
)


@given(SONGS, LAYOUTS, st.sampled_from([" - ", "-", "\u2013", " to ", " → "]))
def test_a_song_in_any_layout_is_read_as_it_was_written(song, layout, between):
    start_s, expected, written = 0, [], []
    for name, length_s, texts in song:
        end_s = start_s + length_s
        span = between.join(f"{at // 60}:{at % 60:02}" for at in (start_s, end_s))
        written += [layout.format(name=name, span=span), *texts, ""]
        expected.append(Section(name, float(start_s), float(end_s), lines(*texts)))
        start_s = end_s
    assert sections("\n".join(written), clip_s=start_s) == expected


MARKS = "[]():#|{1 \n"
WORDS = ["0:00", "1:75", "00:12.50", "3.5s", "9:99:99", " - ", "-->", " to ", "\n\n", "5 seconds"]
MORE_WORDS = ["Verse", "Chorus", "**", "la", '"start":', "é", "from ", "```json\n"]
FRAGMENTS = st.sampled_from([*MARKS, *WORDS, *MORE_WORDS])
ANSWERS = st.one_of(st.text(max_size=200), st.lists(FRAGMENTS, max_size=40).map("".join))


@given(ANSWERS, st.floats(0.1, 1200))
def test_no_time_is_invented(answer, clip_s):
    found = parse(answer, clip_s)
    stated = [
        one
        for section in found.sections
        for item in (section, *section.lines)
        for one in (item.start_s, item.end_s)
    ]
    written = {times.seconds_of(match[0]) for match in times.ANY_TIME.finditer(answer)}
    assert {one for one in stated if one is not None} <= written


@given(ANSWERS, st.floats(0.1, 1200))
def test_every_answer_is_rendered_or_has_no_times(answer, clip_s):
    found = parse(answer, clip_s)
    for rendered in (render.lrc, render.srt, render.vtt):
        try:
            assert rendered(found, clip_s)
        except render.NoTimes:
            assert cues.cues(found, clip_s) == []
