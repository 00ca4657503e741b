"""Answers as a table has them."""

from flamingo.commands import answer_texts
from flamingo_common.wire.answers import Answer, AnswerError, AnswerUsage, TimedLine, TimedSection

USAGE = AnswerUsage(prompt_tokens=1, completion_tokens=1)


def rows(**fields):
    answer = Answer(**{"content": "", "finish_reason": "stop", "usage": USAGE, **fields})
    return list(answer_texts.lines(answer))


def test_text_has_a_row_for_each_line():
    assert rows(content="calm\nand slow\n") == [("", "calm"), ("", "and slow")]


def test_an_object_has_a_row_for_each_field():
    card = {"genre": ["rock", "pop"], "bpm": 120, "language": None, "key": "C major"}
    assert rows(content="{}", parsed=card) == [
        ("genre", "rock, pop"),
        ("bpm", "120"),
        ("language", "-"),
        ("key", "C major"),
    ]


def test_sections_have_their_times_and_lines():
    verse = TimedSection(
        name="Verse 1",
        start_s=4,
        end_s=12.5,
        lines=[TimedLine(text="Grey is the harbour", start_s=4.2), TimedLine(text="Slow")],
    )
    intro = TimedSection(name="Intro", description="Soft piano")
    assert rows(sections=[intro, verse], faults=["line 2 is late"]) == [
        ("Intro", "Soft piano"),
        ("Verse 1 0:04.0-0:12.5", ""),
        ("0:04.2", "Grey is the harbour"),
        ("", "Slow"),
        ("fault", "line 2 is late"),
    ]


def test_an_error_and_a_cut_answer_say_so():
    error = AnswerError(code="answer_incomplete", message="raise max_tokens")
    assert rows(content="{", error=error, finish_reason="length") == [
        ("", "{"),
        ("error", "raise max_tokens"),
    ]
    assert rows(content="la", finish_reason="length")[1][0] == "cut"
