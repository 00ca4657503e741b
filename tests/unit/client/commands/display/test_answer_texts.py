"""Answers as a table has them."""

from flamingo.commands.display import answer_texts
from flamingo_common.wire.answers import Answer, AnswerError, AnswerUsage, TimedLine, TimedSection
from flamingo_common.wire.measured import Comparison, Measured, MeasuredKey

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


def compared(field, answer, measured, relation):
    agrees = None if relation is None else relation == "same"
    return Comparison(
        field=field, answer=answer, measured=measured, agrees=agrees, relation=relation
    )


def test_a_field_has_what_was_measured_and_whether_it_disagrees():
    card = {"bpm": 120, "key": "Gb minor", "tempo": 90, "mode": "dorian", "other": 1}
    found = [
        compared("bpm", 120, 60.12, "double"),
        compared("key", "Gb minor", "F# minor", "same"),
        compared("tempo", 90, 120.0, "other"),
        compared("mode", "dorian", "C major", None),
        compared("other", 1, None, None),
    ]
    assert rows(content="{}", parsed=card, comparisons=found) == [
        ("bpm", "120  ≠ measured: 60.1 (double)"),
        ("key", "Gb minor  = measured: F# minor"),
        ("tempo", "90  ≠ measured: 120.0"),
        ("mode", "dorian  measured: C major"),
        ("other", "1"),
    ]


def test_what_was_measured_has_a_row_for_each_value():
    key = MeasuredKey(
        tonic="F#", mode="minor", name="F# minor", correlation=0.9, runner_up="A major",
        runner_up_correlation=0.7,
    )  # fmt: skip
    measured = Measured(
        tempo_bpm=120.04, beats_s=[number / 2 for number in range(10)], key=key,
        loudness_lufs=-13.91, loudness_range_lu=6.2, true_peak_dbtp=-0.75,
    )  # fmt: skip
    assert list(answer_texts.measured_lines(measured)) == [
        ("tempo", "120.0 BPM"),
        ("beats", "10: 0.00, 0.50, 1.00, 1.50, 2.00, 2.50, 3.00, 3.50, … s"),
        ("key", "F# minor"),
        ("loudness", "-13.9 LUFS"),
        ("range", "6.2 LU"),
        ("true peak", "-0.8 dBTP"),
    ]


def test_what_could_not_be_measured_says_why():
    measured = Measured(reasons={"tempo_bpm": "the clip has no steady beat"})
    lines = dict(answer_texts.measured_lines(measured))
    assert lines["tempo"] == "the clip has no steady beat"
    assert lines["key"] == "-"
    assert "beats" not in lines
