"""Log lines, formatted for a terminal."""

import json

from flamingo_operator.plugin import log_lines


def line(second, event, **facts):
    clock = f"2026-01-01T00:00:{second:02}.123Z"
    return json.dumps({"timestamp": clock, "level": "info", "event": event, **facts})


def test_a_json_log_line_is_formatted():
    text = log_lines.format_line(line(7, "model.loaded", service="pod", took_s=3.5, model="a/b"))
    assert text.plain == "00:00:07 info    model.loaded took_s=3.5 model=a/b"


def test_other_lines_stay_as_they_are():
    for odd in ("Traceback (most recent call last):", "[1]", "{}", "", '{"event"'):
        assert log_lines.format_line(odd).plain == odd


def test_an_exception_is_shown_below_its_line():
    text = log_lines.format_line(line(1, "crashed", exception="Traceback\nValueError"))
    assert text.plain.splitlines()[1:] == ["Traceback", "ValueError"]


def test_logs_of_several_pods_are_merged_by_time():
    logs = {
        "a": "\n".join([line(1, "one"), "a line without a time", line(5, "five")]),
        "b": line(3, "three"),
    }
    told = [(name, text.plain.split()[-1]) for name, text in log_lines.merge_by_time(logs)]
    assert told == [("a", "one"), ("a", "time"), ("b", "three"), ("a", "five")]
