"""What the next token may be while a sequence reasons, when that ends, and what follows."""

import math

import pytest

from flamingo_pod.engine.structured_output.constraint import Reasoning, ReasoningRules
from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens, has, words
from flamingo_pod.engine.structured_output.sequence_constraint import constraint_of

TEXTS = [b"", b"<", b"think", b">", b"</", b"\n", b"C", b"D", b"{", b"}", b">\n", b">{", b"/", b"!"]
ID = {text: number for number, text in enumerate(TEXTS)}
EOS = 0
CLOSE = [b"</", b"think", b">"]
ENDINGS = [
    [b"\n", *CLOSE, b"\n", b"\n"],
    [b"/", b"think", b">", b"\n"],
    [b"think", b">", b"\n"],
]


def tokens(*, is_open=False):
    endings = [[ID[text] for text in ending] for ending in ENDINGS]
    return ReasoningTokens.create(TEXTS, endings, {EOS}, is_open=is_open)


class Spelled:
    """A grammar of one text: each of its tokens, then end-of-sequence."""

    def __init__(self, *text, num_written=0):
        self.text, self.num_written = text, num_written

    def mask(self):
        rest = self.text[self.num_written :]
        return words(len(TEXTS), [ID[rest[0]] if rest else EOS])

    def accept(self, token_id):
        assert has(self.mask(), token_id)
        self.num_written += 1

    @property
    def is_done(self):
        return self.num_written > len(self.text)

    def fork(self):
        return Spelled(*self.text, num_written=self.num_written)


def reasoning(*written, budget=None, grammar=None, is_open=False):
    state = Reasoning(tokens(is_open=is_open), budget, grammar)
    for text in written:
        state.accept(ID[text])
    return state


def allowed(state):
    mask = state.mask()
    return {TEXTS[each] for each in range(len(TEXTS)) if mask is None or has(mask, each)}


def forced(state):
    """Return the tokens that follow as long as only one may."""
    found = []
    while not state.is_done and len(names := allowed(state)) == 1:
        found.append(names.pop())
        state.accept(ID[found[-1]])
    return found


OPEN = (b"<", b"think", b">")
EVERYTHING = {*TEXTS}


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_behind_the_budget_the_tokens_of_the_mark_come_one_after_the_other(budget):
    state = reasoning(*OPEN, budget=budget)
    for _ in range(budget):
        assert state.mask() is None
        state.accept(ID[b"C"])
    assert forced(state) == ENDINGS[0]
    assert state.mask() is None
    assert not state.is_done


def test_reasoning_that_the_prompt_opens_is_counted_from_the_first_token():
    assert forced(reasoning(budget=0, is_open=True)) == ENDINGS[0]
    assert forced(reasoning(b"C", b"D", budget=2, is_open=True)) == ENDINGS[0]


def test_a_mark_that_is_begun_when_the_budget_is_used_up_is_completed():
    assert forced(reasoning(*OPEN, b"C", b"<", budget=2)) == ENDINGS[1]
    assert forced(reasoning(*OPEN, b"</", budget=1)) == ENDINGS[2]


def test_reasoning_that_ends_within_the_budget_is_left_alone():
    state = reasoning(*OPEN, b"C", *CLOSE, budget=4)
    assert state.mask() is None
    for _ in range(9):
        state.accept(ID[b"C"])
        assert state.mask() is None


def test_a_second_reasoning_is_text_of_the_answer():
    state = reasoning(*OPEN, *CLOSE, *OPEN, b"C", b"C", b"C", b"C", budget=3)
    assert state.mask() is None


def test_an_answer_without_reasoning_has_no_budget():
    state = reasoning(b"C", budget=0)
    assert (state.mask(), state.num_free) == (None, math.inf)


def test_a_forced_token_is_the_only_one_that_is_accepted():
    state = reasoning(*OPEN, budget=0)
    with pytest.raises(ValueError, match="not allowed"):
        state.accept(ID[b"C"])


def test_it_says_how_many_tokens_can_not_be_forced():
    assert reasoning(budget=2).num_free == 3
    assert reasoning(*OPEN, budget=2).num_free == 2
    assert reasoning(*OPEN, b"C", budget=2).num_free == 1
    state = reasoning(*OPEN, b"C", b"C", budget=2)
    assert state.num_free == 0
    forced(state)
    assert state.num_free == math.inf
    assert reasoning(*OPEN, grammar=Spelled(b"C")).num_free == math.inf


def test_a_grammar_begins_behind_the_reasoning():
    state = reasoning(*OPEN, grammar=Spelled(b"{", b"}"))
    assert allowed(state) == EVERYTHING - {b""}
    state.accept(ID[b"</"])
    state.accept(ID[b"think"])
    assert allowed(state) == EVERYTHING - {b"", b">{"}
    state.accept(ID[b">"])
    assert allowed(state) == {b"{", b"\n"}
    state.accept(ID[b"\n"])
    assert forced(state)[:2] == [b"{", b"}"]


def test_the_answer_may_follow_the_mark_at_once():
    state = reasoning(*OPEN, *CLOSE, b"{", grammar=Spelled(b"{", b"}"))
    assert allowed(state) == {b"}"}


def test_a_line_that_the_mark_ends_is_followed_by_the_grammar_alone():
    state = reasoning(*OPEN, b"</", b"think", b">\n", grammar=Spelled(b"{"))
    assert allowed(state) == {b"{"}


def test_blanks_of_the_grammar_belong_to_it():
    state = reasoning(*OPEN, *CLOSE, b"\n", grammar=Spelled(b"\n", b"{"))
    assert allowed(state) == {b"{"}


def test_a_grammar_begins_behind_forced_tokens():
    state = reasoning(*OPEN, b"C", budget=1, grammar=Spelled(b"{", b"}"))
    assert forced(state)[: len(ENDINGS[0]) + 2] == [*ENDINGS[0], b"{", b"}"]
    assert state.is_done


def test_a_grammar_holds_at_once_where_nothing_is_reasoned():
    state = reasoning(grammar=Spelled(b"{", b"}"), budget=0)
    assert allowed(state) == {b"{", b"<"}
    state.accept(ID[b"{"])
    assert allowed(state) == {b"}"}
    state.accept(ID[b"}"])
    state.accept(EOS)
    assert state.is_done


def test_an_output_that_has_begun_with_the_mark_goes_on_with_it():
    state = reasoning(b"<", grammar=Spelled(b"{"))
    assert allowed(state) == {b"think"}


def test_an_output_may_be_the_mark_and_the_answer_until_it_is_clear():
    answer = Spelled(b"<", b"think", b"!")
    state = reasoning(b"<", b"think", grammar=answer.fork())
    assert allowed(state) == {b">", b">\n", b"!"}
    state.accept(ID[b"!"])
    assert allowed(state) == {b""}
    state = reasoning(*OPEN, *CLOSE, grammar=answer.fork())
    assert allowed(state) == {b"<", b"\n"}


def test_what_neither_reasons_nor_has_a_budget_is_the_grammar_itself():
    grammar = Spelled(b"{")
    assert constraint_of(None, grammar) is grammar
    assert constraint_of(ReasoningRules(tokens()), None) is None
    assert constraint_of(None, None) is None
    assert isinstance(constraint_of(ReasoningRules(tokens(), 3), None), Reasoning)
    assert isinstance(constraint_of(ReasoningRules(tokens()), grammar), Reasoning)
