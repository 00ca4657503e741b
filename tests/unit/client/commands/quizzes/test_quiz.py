"""What `flamingo bench quiz` reads and prints; the fake pod finds the last choice likeliest."""

import json
import math
import re

import pytest
from fakes.deciding_pod import DecidingPod, LastFirstPod

from flamingo.client import calibrations
from flamingo_common import errors
from flamingo_common.service.exit_status import ExitStatus

LINE = {"audio": "song.mp3", "question": "Which?", "choices": ["a", "b", "c"], "answer": "c"}
BODY = re.compile(rb'\{"questions".*\}')


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


def test_a_file_may_begin_with_a_byte_order_mark(flamingo, quiz):
    result = flamingo(
        "bench", "quiz", quiz("\N{BOM}" + json.dumps(LINE)), "--json", pod=DecidingPod()
    )
    assert json.loads(result.stdout)["accuracy"]["num"] == 1


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


@pytest.fixture
def different(quiz, tmp_path):
    """Write a quiz whose answers, clips and categories all differ; returns the file."""

    def write(num, **changes):
        lines = []
        for number in range(num):
            (tmp_path / f"{number}.mp3").write_bytes(b"ID3 %d" % number)
            choices = [str(choice) for choice in range(number + 2)]
            line = {"audio": f"{number}.mp3", "question": "Which?", "choices": choices}
            lines.append(line | {"answer": number % 2, "category": f"c{number}"} | changes)
        return quiz(*lines)

    return write


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_questions_at_once_are_reported_as_one_after_the_other(flamingo, different, flags):
    file, pod = different(5), LastFirstPod(5)
    one = flamingo("bench", "quiz", file, *flags, "-j", "1", pod=DecidingPod())
    all_at_once = flamingo("bench", "quiz", file, *flags, "-j", "5", pod=pod)
    assert (one.exit_code, all_at_once.exit_code) == (0, 0)
    assert all_at_once.stdout == one.stdout
    assert [f"c{number}" for number in range(5)] == re.findall(r"c\d", one.stdout)


def test_one_after_the_other_means_one_request_in_flight(flamingo, different):
    pod = DecidingPod(answer_s=0.01)
    assert flamingo("bench", "quiz", different(4), "-j", "1", pod=pod).exit_code == 0
    sent = [json.loads(BODY.search(each.body)[0]) for each in pod.received]
    assert [len(each["questions"][0]["choices"]) for each in sent] == [2, 3, 4, 5]


def test_what_fails_is_named_in_the_order_of_the_file(flamingo, different, tmp_path):
    file = different(4)
    for number in (0, 2):
        (tmp_path / f"{number}.mp3").unlink()
    result = flamingo("bench", "quiz", file, "--json", "-j", "4", pod=DecidingPod())
    assert result.exit_code == ExitStatus.ITEMS_FAILED
    assert re.findall(r"(\d)\.mp3", result.stderr) == ["0", "2"]
    report = json.loads(result.stdout)
    assert (report["accuracy"]["num"], report["num_failed"]) == (2, 2)
    assert list(report["categories"]) == ["c1", "c3"]


def test_an_error_that_all_would_have_ends_the_quiz(flamingo, different):
    pod = DecidingPod(fails_with=errors.InvalidApiKey("the key is not valid"))
    result = flamingo("bench", "quiz", different(20), "-j", "2", pod=pod)
    assert "the key is not valid" in str(result.exception)
    assert len(pod.received) <= 3
    assert result.stdout == ""


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_number_of_questions_at_once_that_is_none_is_refused(flamingo, different, number):
    pod = DecidingPod()
    result = flamingo("bench", "quiz", different(1), "-j", number, pod=pod)
    assert (result.exit_code, pod.received) == (2, [])
    assert "-j" in result.stderr


BAD = [
    ("{", "is not JSON"),
    (LINE | {"answer": "d"}, "answer must be one of the choices"),
    (LINE | {"answer": 3}, "answer must be the number of a choice"),
    (LINE | {"choices": ["a"]}, "choices: must have at least 2 items"),
    (LINE | {"question": None}, "needs question and choices, or else a taxonomy"),
    (LINE | {"question": 3}, "question: must be a string"),
    (LINE | {"taxonomy": "mood"}, "needs question and choices, or else a taxonomy"),
    ({"audio": "a", "taxonomy": "moods", "answer": []}, "cannot read the taxonomy moods"),
    ({"audio": "a", "taxonomy": "mood", "answer": "calm"}, "answer must be a list of labels"),
    ({"audio": "a", "taxonomy": "mood", "answer": ["loud"]}, "answer must be a list of labels"),
    ({"audio": "a", "taxonomy": "genre", "answer": ["Rock"]}, "answer must be one of"),
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


def test_a_taxonomy_is_asked_as_flamingo_tag_asks_it(flamingo, quiz, tmp_path):
    (tmp_path / "t.yaml").write_text(
        "name: t\nkind: many\nquestion: It is {label}.\nlabels: [a, b]\n"
    )
    line = {"audio": "song.mp3", "taxonomy": str(tmp_path / "t.yaml"), "answer": ["b"]}
    pod = DecidingPod()
    result = flamingo("bench", "quiz", quiz(line), "--json", pod=pod)
    assert [one["instructions"] for one in pod.asked["questions"]] == ["It is a.", "It is b."]
    report = json.loads(result.stdout)
    assert report["accuracy"]["num"] == 2
    assert report["brier_score"] == pytest.approx((0 + 2 * 0.9**2) / 2)


@pytest.fixture
def sure(quiz, tmp_path):
    """Write a quiz whose likeliest choice has the probability 2/3; returns the file."""

    def write(num_right):
        lines = []
        for number in range(120):
            (tmp_path / f"{number // 4}.mp3").write_bytes(b"ID3, let us say")
            line = {"audio": f"{number // 4}.mp3", "question": "Which?", "choices": ["a", "b"]}
            answer = int(number % 10 < num_right)
            lines.append(line | {"answer": answer, "category": "meter"})
        return quiz(*lines)

    return write


def test_a_fitted_temperature_is_saved_and_used_by_tags(flamingo, sure, tmp_path):
    out = tmp_path / "calibration.yaml"

    args = ("bench", "quiz", sure(6), "--calibration", str(out), "--json")
    result = flamingo(*args, pod=DecidingPod())

    fit = json.loads(result.stdout)["temperature_fit"]
    assert fit["temperature"] == pytest.approx(math.log(2) / math.log(1.5), rel=1e-3)
    assert fit["temperatures"]["meter"] == fit["temperature"]
    before, after = (fit[name]["negative_log_likelihood"] for name in ("before", "after"))
    assert after == pytest.approx(before, abs=0.02), "120 answers cannot show more"
    assert fit["after"]["expected_calibration_error"] < 0.1
    saved = calibrations.load(out)
    assert (saved.model, saved.commit, saved.orders) == ("fake", None, 1)
    assert (saved.num_examples, saved.num_clips) == (120, 30)
    song, taxonomy = str(tmp_path / "0.mp3"), str(tmp_path / "t.yaml")
    (tmp_path / "t.yaml").write_text("name: meter\nkind: one\nquestion: Which?\nlabels: [a, b]\n")
    tags = flamingo(
        "tag", song, "-t", taxonomy, "--calibration", str(out), "--json", pod=DecidingPod()
    )
    found = json.loads(tags.stdout)["tags"]["meter"]
    assert [one["probability"] for one in found] == pytest.approx([0.4, 0.6], abs=1e-3)


def test_answers_that_decide_no_temperature_are_not_saved(flamingo, sure, tmp_path):
    out = tmp_path / "calibration.yaml"
    result = flamingo("bench", "quiz", sure(5), "--calibration", str(out), pod=DecidingPod())
    assert "no temperature from 0.05 to 20 is best" in str(result.exception)
    assert "expected calibration error" in result.stdout, "what was asked for is not lost"
    assert not out.exists()


def test_too_few_answers_are_not_fitted(flamingo, quiz):
    result = flamingo("bench", "quiz", quiz(LINE), "--fit-temperature", pod=DecidingPod())
    assert "needs at least 100 answers about 10 clips; there are 1 about 1" in str(result.exception)


def test_a_folder_that_is_not_there_is_refused_before_the_first_question(flamingo, quiz, tmp_path):
    pod, out = DecidingPod(), tmp_path / "gone" / "c.yaml"
    result = flamingo("bench", "quiz", quiz(LINE), "--calibration", str(out), pod=pod)
    assert (result.exit_code, pod.received) == (2, [])
