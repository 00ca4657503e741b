"""What `flamingo bench quiz` reads and prints; the fake pod finds the last choice likeliest."""

import json

import pytest
from fakes.deciding_pod import DecidingPod

from flamingo_common.service.exit_status import ExitStatus

LINE = {"audio": "song.mp3", "question": "Which?", "choices": ["a", "b", "c"], "answer": "c"}


@pytest.fixture
def quiz(song, tmp_path):
    """Write lines beside the clip; returns the file."""

    def write(*lines):
        path = tmp_path / "quiz.jsonl"
        path.write_text(
            "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
        )
        return str(path)

    return write


def test_accuracy_and_calibration_are_reported(flamingo, quiz):
    file = quiz(LINE, LINE | {"answer": 0, "category": "hard"}, "", LINE | {"answer": 2})
    pod = DecidingPod()

    result = flamingo("bench", "quiz", file, "--json", "--orders", "3", pod=pod)

    report = json.loads(result.stdout)
    assert report["accuracy"] == {
        "num": 3,
        "share": pytest.approx(2 / 3),
        "low": pytest.approx(0.2077, abs=1e-3),
        "high": pytest.approx(0.9385, abs=1e-3),
    }
    assert {name: each["share"] for name, each in report["categories"].items()} == {
        "": 1.0,
        "hard": 0.0,
    }
    assert report["reliability"] == [
        {"start": 0.5, "num": 3, "mean_probability": 0.5, "share_right": pytest.approx(2 / 3)}
    ]
    assert pod.asked["orders"] == 3
    assert [each["value"] for each in pod.asked["questions"][0]["choices"]] == ["a", "b", "c"]


def test_a_terminal_gets_tables(flamingo, quiz):
    result = flamingo("bench", "quiz", quiz(LINE), pod=DecidingPod())
    words = result.stdout.split()
    assert words[:6] == ["category", "questions", "accuracy", "95", "%", "interval"]
    assert "expected calibration error  0.500" in result.stdout
    assert "from 0.5" in result.stdout


def test_a_clip_that_fails_is_left_out(flamingo, quiz):
    file = quiz(LINE | {"audio": "nowhere.mp3"}, LINE)
    result = flamingo("bench", "quiz", file, "--json", pod=DecidingPod())
    assert result.exit_code == ExitStatus.ITEMS_FAILED
    assert json.loads(result.stdout)["num_failed"] == 1


BAD = [
    ("{", "is not JSON"),
    (LINE | {"answer": "d"}, "answer must be one of the choices"),
    (LINE | {"answer": 3}, "answer must be the number of a choice"),
    (LINE | {"choices": ["a"]}, "choices: must have at least 2 items"),
    (LINE | {"question": None}, "question: must be a string"),
    ({}, "audio: is required"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=lambda one: str(one)[:30])
def test_a_line_with_a_fault_is_named_before_any_request(flamingo, quiz, line, message):
    pod = DecidingPod()
    result = flamingo("bench", "quiz", quiz(LINE, line), pod=pod)
    assert f"quiz.jsonl:2: {message}" in str(result.exception)
    assert pod.received == []


def test_a_file_without_questions_is_refused(flamingo, quiz):
    result = flamingo("bench", "quiz", quiz(""), pod=DecidingPod())
    assert "has no questions" in str(result.exception)
