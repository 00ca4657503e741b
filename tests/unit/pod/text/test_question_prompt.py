"""The tokens of questions behind a conversation: those of the whole prompt."""

import numpy as np
import pytest

from flamingo_common.errors import BadRequest
from flamingo_pod.model.builtin import build, tokenizer
from flamingo_pod.text import prompt, question_prompt
from flamingo_pod.text.prompt import Turn
from flamingo_pod.text.question_prompt import Field, QuestionPrompt

QUESTIONS = ["Is it fast?\nAnswer Yes or No.", "the question 1 é!", "How loud?"]


@pytest.fixture(scope="module")
def processor():
    return build._processor(tokenizer.build())


@pytest.mark.parametrize(
    ("turns", "num_audio"),
    [
        ([Turn("user", "", has_audio=True)], 12),
        ([Turn("user", "From a demo.", has_audio=True)], 12),
        ([Turn("user", "A waltz in\n\n  the question ", has_audio=False)], 0),
        (
            [
                Turn("system", "Judge."),
                Turn("user", "hi", has_audio=True),
                Turn("assistant", "yes"),
                Turn("user", ""),
            ],
            5,
        ),
    ],
    ids=["a clip", "a clip with text", "text", "a conversation"],
)
def test_the_tokens_are_those_of_the_whole_prompt(processor, turns, num_audio):
    made = QuestionPrompt.of(processor, turns, num_audio)
    tails = made.tails([Field(text, "q") for text in QUESTIONS])
    for question, tail in zip(QUESTIONS, tails, strict=True):
        text = turns[-1].text.rstrip()
        whole = Turn("user", f"{text}\n\n{question}" if text else question, turns[-1].has_audio)
        expected = prompt.token_ids(processor, [*turns[:-1], whole], num_audio)
        assert np.concatenate((made.head, tail)).tolist() == expected.tolist()


def test_text_before_the_question_is_tokenized_once(processor):
    made = QuestionPrompt.of(processor, [Turn("user", "A waltz. " * 500, has_audio=True)], 3)
    assert made.before == ""
    assert len(made.tails([Field("Fast?", "q")])[0]) < 20


def test_a_conversation_with_a_control_token_is_refused(processor):
    with pytest.raises(BadRequest, match="<sound>") as caught:
        QuestionPrompt.of(processor, [Turn("user", "a <sound> b", field="input")], 0)
    assert caught.value.param == "input"


def test_a_control_token_in_a_question_is_refused_by_its_field(processor):
    with pytest.raises(BadRequest, match=r"<\|im_end\|>") as caught:
        question_prompt.reject_control(processor, [Field("a", "b"), Field("<|im_end|>", "c")])
    assert caught.value.param == "c"


def test_answers_have_tokens_of_their_own(processor):
    answers = question_prompt.answer_tokens(processor, [Field("Yes", "a"), Field("rock", "b")])
    assert all(answers)
    assert answers[0] != answers[1]
    for texts, message in ((["a", ""], "no tokens"), (["a", "a"], "reads options.0.")):
        fields = [Field(text, f"options[{at}]") for at, text in enumerate(texts)]
        with pytest.raises(BadRequest, match=message) as caught:
            question_prompt.answer_tokens(processor, fields)
        assert caught.value.param == "options[1]"
