"""Temperatures are fitted to the right answers, and judged on clips that had no part in them."""

import math

import pytest

from flamingo.commands.quizzes import quiz_metrics, temperature_fit
from flamingo.commands.quizzes.quiz_metrics import Answered
from flamingo_common.errors import BadRequest
from flamingo_common.wire.decision_temperature import tempered


def answers(best, num_right, num, *, category="", start=0):
    """Return answers about four clips each, of which so many of ten are right."""
    return [
        Answered(
            [best, 1 - best], int(number % 10 >= num_right), category, str((start + number) // 4)
        )
        for number in range(num)
    ]


@pytest.mark.parametrize(("best", "num_right"), [(0.9, 7), (0.6, 9), (0.99, 6), (0.7, 7)])
def test_the_best_temperature_is_the_one_at_which_the_share_of_right_answers_comes_true(
    best, num_right
):
    found = temperature_fit.best_temperature(answers(best, num_right, 200))
    share = num_right / 10
    expected = math.log(best / (1 - best)) / math.log(share / (1 - share))
    assert found == pytest.approx(expected, rel=1e-6)
    assert tempered([best, 1 - best], found)[0] == pytest.approx(share, rel=1e-6)


def test_the_temperature_of_a_known_distribution_is_found():
    sharpened, given = 3.0, [0.5, 0.3, 0.2]
    found = tempered(given, 1 / sharpened)  # a model that is too sure by this factor
    asked = [
        Answered(found, right, clip=str(number))
        for right, share in enumerate((50, 30, 20))
        for number in range(share)
    ]
    assert temperature_fit.best_temperature(asked) == pytest.approx(sharpened, rel=1e-6)


def test_probabilities_of_zero_and_one_are_taken():
    sure = [Answered([1.0, 0.0], number % 2, clip=str(number)) for number in range(200)]
    assert temperature_fit.best_temperature(sure) == pytest.approx(temperature_fit.MOST)


def test_a_fit_is_better_on_clips_that_it_has_not_seen():
    asked = answers(0.95, 7, 400)
    fit = temperature_fit.fit(asked)
    assert (fit.num_examples, fit.num_clips, fit.temperatures) == (400, 100, {})
    assert fit.before == temperature_fit.quality(asked)
    assert fit.after.negative_log_likelihood < fit.before.negative_log_likelihood
    assert fit.after.expected_calibration_error < 0.1
    assert fit == temperature_fit.fit(asked), "it depends on nothing else"


def test_a_category_with_enough_answers_has_a_temperature_of_its_own():
    genre = answers(0.95, 7, 200, category="genre")
    mood = answers(0.6, 8, 100, category="mood", start=1000)
    few = answers(0.6, 8, 30, category="era", start=2000)
    fit = temperature_fit.fit([*genre, *mood, *few])
    assert [*fit.temperatures] == ["genre", "mood"]
    assert fit.temperatures["mood"] < 1 < fit.temperature < fit.temperatures["genre"]


def test_answers_about_one_clip_do_not_judge_their_own_temperature():
    # All of a clip's answers are alike: with its own clip in the fit each would look better.
    odd = [
        Answered([0.9, 0.1], int(clip % 2), clip=str(clip)) for clip in range(20) for _ in range(10)
    ]
    fit = temperature_fit._cross_validated(odd)
    assert len(fit) == len(odd)
    assert [one.clip for one in fit] == [one.clip for one in odd]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (answers(0.9, 7, 99), "at least 100 answers about 10 clips; there are 99 about 25"),
        ([Answered([0.9, 0.1], number % 2) for number in range(200)], "there are 200 about 1"),
        (answers(0.9, 10, 200), "no temperature .* is best for these answers, as where all are"),
        (answers(0.9, 5, 200), "or where the probabilities say nothing"),
        (answers(0.9, 2, 200), "no temperature"),
    ],
)
def test_answers_that_decide_no_temperature_are_refused(asked, message):
    with pytest.raises(BadRequest, match=message):
        temperature_fit.fit(asked)


def test_the_quality_is_the_mean_log_likelihood_and_the_calibration_error():
    asked = answers(0.8, 8, 10)
    quality = temperature_fit.quality(asked)
    expected = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert quality.negative_log_likelihood == pytest.approx(expected)
    assert quality.expected_calibration_error == quiz_metrics.expected_calibration_error(asked)
