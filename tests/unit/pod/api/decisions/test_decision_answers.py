"""From the probabilities of options to answers."""

import pytest

from flamingo_common.wire.decisions import ChoiceQuestion, PredicateQuestion, ScoreQuestion
from flamingo_pod.api.decisions import decision_answers
from flamingo_pod.api.decisions.decision_answers import Scored

PREDICATE = PredicateQuestion(type="predicate", instructions="Is it?", name="it")
CHOICE = ChoiceQuestion(
    type="choice", instructions="Which?", choices=[{"value": "a"}, {"value": True}, {"value": "c"}]
)
SCORE = ScoreQuestion(
    type="score", instructions="How?", levels=[{"label": each} for each in ("low", "mid", "high")]
)


def test_a_predicate_has_the_probability_of_yes():
    answer = decision_answers.answer(PREDICATE, Scored([0.7, 0.3], 0.9), 1.0)
    assert answer.model_dump() == {"type": "predicate", "name": "it", "probability": 0.7}


def test_a_choice_is_the_likeliest_with_the_probability_of_an_answer_at_all():
    answer = decision_answers.answer(CHOICE, Scored([0.2, 0.5, 0.3], 0.8), 1.0)
    assert (answer.choice, answer.confidence, answer.name) == (True, 0.4, None)
    assert [(each.value, each.probability) for each in answer.probabilities] == [
        ("a", 0.2),
        (True, 0.5),
        ("c", 0.3),
    ]


def test_a_score_is_the_expected_level_from_zero_on():
    answer = decision_answers.answer(SCORE, Scored([0.1, 0.3, 0.6], 1.0), 1.0)
    assert answer.score == pytest.approx(1.5)
    assert answer.confidence == 0.6
    assert [(each.value, each.label) for each in answer.probabilities] == [
        (0, "low"),
        (1, "mid"),
        (2, "high"),
    ]


def test_orders_are_averaged():
    assert decision_answers.average([Scored([0.2, 0.8], 0.5), Scored([0.6, 0.4], 0.7)]) == Scored(
        [pytest.approx(0.4), pytest.approx(0.6)], pytest.approx(0.6)
    )
