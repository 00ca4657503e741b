"""What `flamingo batch` prints."""

import pytest

from flamingo.batch.estimate import Survey
from flamingo.batch.items import Malformed
from flamingo.batch.progress import Progress
from flamingo.commands.display import batch_texts
from flamingo.commands.display.batch_texts import End, Failure

RUNNING = Progress(
    num_done=410, num_failed=2, num_skipped=88, audio_s=113_040, missing_s=3.21, elapsed_s=540
)


def end(progress, failures=(), *, before=(), was_stopped=False):
    command = ["flamingo", "batch", "my songs", "-o", "out.jsonl"]
    return End(
        progress, failures, before, "out.jsonl", "out.unfinished.jsonl", was_stopped, command
    )


def test_progress_is_one_line_with_counts_audio_hours_speed_and_the_time_left():
    assert batch_texts.line(RUNNING, 1000) == (
        "500 of 1,000, 410 done, 2 failed, 88 done before, 31.4 audio-hours,"
        " 3.2 s of audio missing, 209.3x real time, about 10 min 55 s left"
    )


def test_when_no_result_comes_no_end_is_predicted():
    assert batch_texts.line(RUNNING, 1000, quiet_s=90).endswith(
        "real time, no result for 1 min 30 s"
    )


def test_while_items_are_counted_there_is_no_end():
    assert batch_texts.line(Progress(), None) == "0 done, 0 s of audio, 0.0x real time"
    assert batch_texts.left_s(RUNNING, None) is None


def test_the_summary_of_a_good_run_is_two_lines():
    progress = Progress(num_done=2, audio_s=60, elapsed_s=3)
    assert [*batch_texts.summary(end(progress))] == [
        "2 done; 60 s of audio, 20.0x real time in 3 s",
        "results: out.jsonl",
    ]


def test_a_source_without_clips_is_named_as_such():
    assert [*batch_texts.summary(end(Progress()))][1].startswith("there was nothing to process")
    assert len([*batch_texts.summary(end(Progress(num_skipped=1)))]) == 2


def test_the_summary_names_failures_and_the_commands_that_go_on():
    failures = [Failure(f"{number}.mp3", "is empty") for number in range(10)]
    progress = Progress(num_failed=12, num_unfinished=1, elapsed_s=3)
    lines = [*batch_texts.summary(end(progress, failures))]
    assert lines[2] == "failed: 0.mp3: is empty"
    assert lines[12:] == [
        "failed: … and 3 more; the results have the errors",
        "unfinished items are listed in out.unfinished.jsonl",
        "to continue: flamingo batch 'my songs' -o out.jsonl",
        "to try the failed ones again: flamingo batch 'my songs' -o out.jsonl --retry-failed",
    ]


def test_what_failed_in_earlier_runs_is_named_again():
    before = [Failure("bad.mp3", "is empty")]
    progress = Progress(num_skipped=5, num_failed_before=2)
    assert [*batch_texts.summary(end(progress, before=before))] == [
        "0 done, 3 done before, 2 failed before",
        "results: out.jsonl",
        "failed before: bad.mp3: is empty",
        "failed before: … and 1 more; the results have the errors",
        "to try the failed ones again: flamingo batch 'my songs' -o out.jsonl --retry-failed",
    ]


def test_a_message_that_begins_with_the_key_is_not_preceded_by_it_and_controls_are_escaped():
    failures = [Failure("a.mp3", "a.mp3 is empty"), Failure("\x1b[2J", "two\nlines")]
    lines = [*batch_texts.summary(end(Progress(num_failed=2), failures))]
    assert lines[2:4] == ["failed: a.mp3 is empty", "failed: \\x1b[2J: two lines"]


def test_a_run_that_was_stopped_says_how_to_continue():
    progress = Progress(num_done=1)
    assert [*batch_texts.summary(end(progress, was_stopped=True))][-1].startswith("to continue: ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_the_two_units_that_matter(seconds, text):
    assert batch_texts.duration(seconds) == text


def test_a_survey_says_what_is_exact_and_what_is_not():
    found = Survey(
        num_items=1000,
        num_malformed=1,
        num_bytes=5_000_000_000,
        num_probed=500,
        probed_s=100_000,
        malformed=[Malformed("l.jsonl:2", "not JSON")],
    )
    assert [*batch_texts.survey_lines(found, 7200)] == [
        "1,000 clips, 5.0 GB",
        "about 55.6 audio-hours (from 500 of the clips)",
        "time: about 2 h 0 min with the pods that are ready now",
        "1 malformed line would be recorded as failed:",
        "  l.jsonl:2: not JSON",
    ]
    exact = Survey(num_items=1, num_known=1, known_s=30)
    assert [*batch_texts.survey_lines(exact, None)][1:] == [
        "30 s of audio",
        f"time: unknown; {batch_texts.NOT_MEASURED}",
    ]
    assert [*batch_texts.survey_lines(exact, None, "the key\nmay not")][2:] == [
        "time: unknown; the key may not"
    ]
