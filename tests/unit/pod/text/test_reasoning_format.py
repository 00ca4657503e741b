"""Whether a checkpoint thinks, as its files and a setting say."""

import pytest
from tokenizers import AddedToken

from flamingo_pod.engine.structured_output.reasoning_scan import END, Phase, ReasoningScan
from flamingo_pod.engine.structured_output.reasoning_tokens import has
from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text import prompt, reasoning_format
from flamingo_pod.text.reasoning_format import Vocabulary, found, thinks

SIZE = 1024
EOS = tokenizer.build().eos_token_id


class Processor:
    """A processor whose chat template is one text before and one behind the question."""

    audio_token_id = 0

    def __init__(self, behind="", template="", added=()):
        self.tokenizer = tokenizer.build()
        self.tokenizer.add_tokens([AddedToken(text, special=False) for text in added])
        self.behind, self.chat_template = behind, template

    def apply_chat_template(self, conversation, **_):
        return f"{conversation[-1]['content'][-1]['text']}\n{self.behind}"


@pytest.mark.parametrize(
    ("processor", "name", "expected", "reason"),
    [
        (Processor(), "nvidia/music-flamingo-2601-hf", False, "neither"),
        (Processor(), "rethinking/flamingo", False, "neither"),
        (Processor(), "/models/rethinker", False, "neither"),
        (Processor(), "nvidia/music-flamingo-think-2601-hf", True, "name"),
        (Processor(), "/models/Thinking_Flamingo/", True, "name"),
        (Processor("<think>\n"), "flamingo", True, "template"),
        (Processor(template="{{ x.split('</think>') }}"), "flamingo", True, "template"),
        (Processor(added=["<think>", "</think>"]), "flamingo", True, "tokenizer"),
        (Processor(added=["<think>"]), "flamingo", False, "neither"),
    ],
)
def test_a_checkpoint_thinks_if_its_files_or_its_name_say_so(processor, name, expected, reason):
    answer = thinks(processor, name, "auto")
    assert answer.answer is expected
    assert reason in answer.reason


def test_the_setting_overrides_what_the_files_say():
    assert thinks(Processor(), "flamingo", "think").answer
    assert not thinks(Processor("<think>"), "flamingo-think", "none").answer


@pytest.mark.parametrize("added", [(), ("<think>", "</think>")])
def test_the_endings_complete_the_mark_wherever_it_is(added):
    processor = Processor(added=added)
    made = reasoning_format.reasoning_tokens(processor, Vocabulary(len(processor.tokenizer), [EOS]))
    for num_written, ids in enumerate(made.endings):
        scan = ReasoningScan(is_open=True)
        scan.push(b"</think>"[:num_written])
        for token_id in ids:
            scan.push(made.texts[token_id])
        assert scan.phase is Phase.BETWEEN
    assert processor.tokenizer.decode(made.endings[0]) == END
    assert (len(made.endings[0]) < 9) == bool(added)
    assert not has(made.inside[0], EOS)


def test_a_vocabulary_may_be_padded():
    made = reasoning_format.reasoning_tokens(Processor(), Vocabulary(SIZE + 200, [EOS]))
    assert (len(made.texts), made.texts[-1]) == (SIZE + 200, b"")


@pytest.mark.parametrize("behind", ["<think>", "<think>\n"])
def test_a_template_that_opens_the_reasoning_does_so_for_every_answer(behind):
    assert prompt.opens_reasoning(Processor(behind))
    assert reasoning_format.reasoning_tokens(Processor(behind), Vocabulary(SIZE, [EOS])).is_open
    assert not prompt.opens_reasoning(Processor("<think>\n\n</think>\n\n"))


def test_an_answer_with_a_beginning_is_not_reasoned():
    assert prompt.beginning_of(Processor("<think>\n"), "<tool_call>") == f"{END}<tool_call>"
    assert prompt.beginning_of(Processor("<think>\n"), "") == ""
    assert prompt.beginning_of(Processor(), "<tool_call>") == "<tool_call>"


def test_marks_that_are_no_text_are_an_error_if_the_setting_says_that_it_thinks():
    processor = Processor()
    special = [AddedToken(text, special=True) for text in ("<think>", "</think>")]
    processor.tokenizer.add_tokens(special, special_tokens=True)
    vocabulary = Vocabulary(len(processor.tokenizer), [EOS])
    with pytest.raises(ValueError, match="closing mark"):
        found(processor, "flamingo", "think", vocabulary)
    answer, tables = found(processor, "flamingo", "auto", vocabulary)
    assert (answer.answer, tables) == (False, None)
    assert "its tokenizer has the marks, but" in answer.reason


def test_a_checkpoint_that_thinks_has_tables():
    vocabulary = Vocabulary(SIZE, [EOS])
    assert found(Processor(), "flamingo-think", "auto", vocabulary)[1] is not None
    assert found(Processor(), "flamingo", "auto", vocabulary)[1] is None
