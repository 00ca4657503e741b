"""Accuracy with its interval, and calibration."""

import pytest

from flamingo.commands.quizzes import quiz_metrics
from flamingo.commands.quizzes.quiz_metrics import Accuracy, Answered


def answered(best, *, right=True, category=""):
    return Answered([best, 1 - best], 0 if right else 1, category)


def test_the_interval_is_wilsons():
    low, high = Accuracy(10, 8).interval
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert Accuracy(5, 5).interval[1] == 1.0
    assert Accuracy(5, 0).interval[0] == 0.0


def test_categories_are_counted_apart_in_their_order():
    answers = [answered(0.9, category="b"), answered(0.9, right=False, category="a")]
    found = quiz_metrics.by_category([*answers, answered(0.6, category="b")])
    assert {name: (each.num, each.num_right) for name, each in found.items()} == {
        "b": (2, 2),
        "a": (1, 0),
    }


def test_answers_that_come_true_as_often_as_they_say_are_calibrated():
    answers = [answered(0.8)] * 8 + [answered(0.8, right=False)] * 2
    assert quiz_metrics.expected_calibration_error(answers) == pytest.approx(0)
    [only] = quiz_metrics.reliability(answers)
    assert (only.start, only.num, only.share_right) == (0.8, 10, 0.8)
    assert only.mean_probability == pytest.approx(0.8)


def test_answers_that_are_too_sure_are_not():
    answers = [answered(1.0), answered(1.0, right=False), answered(0.6), answered(0.6)]
    assert quiz_metrics.expected_calibration_error(answers) == pytest.approx((1.0 + 0.8) / 4)
    assert [each.start for each in quiz_metrics.reliability(answers)] == [0.6, 0.9]


def test_the_brier_score_counts_all_choices():
    assert quiz_metrics.brier_score([answered(1.0)]) == 0
    assert quiz_metrics.brier_score([answered(1.0, right=False)]) == 2
    assert quiz_metrics.brier_score([Answered([0.5, 0.3, 0.2], 1)]) == pytest.approx(
        0.25 + 0.49 + 0.04
    )
