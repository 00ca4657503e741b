"""What the next token may be where the model decides on calls, however its text is tokenized."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.structured_output.call_constraint import (
    MAX_CALLS,
    CallRules,
    FormatOrCalls,
    OptionalCalls,
)
from flamingo_pod.engine.structured_output.call_tokens import CLOSE, OPEN, CallTokens
from flamingo_pod.engine.structured_output.constraint import Reasoning, ReasoningRules
from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens, has, words
from flamingo_pod.engine.structured_output.sequence_constraint import constraint_of, num_free

BODIES = (b"\n{f}\n", b"\n{g 1}\n")
"""What can be between the marks here."""
EOS = b"<eos>"
BYTES = [bytes([each]) for each in sorted({*CLOSE, *OPEN, *b"\n{fg 1}hinkxy"})]
LONGER = [OPEN, CLOSE, b"<tool", b"_call", b"tool_call", b"</", b"think", b"</think>", b"<think>"]
LONGER += [b"\n{", b"f}\n", b"{g", b" 1}", b"\n<", b"x<", b">\n", b">\n{", b">x", OPEN + b"\n{"]
LONGER += [b"</think>" + OPEN, b"<t", b"}\n</"]
TEXTS = [b"", *BYTES, *LONGER]
ID = {text: number for number, text in enumerate(TEXTS)} | {EOS: 0}
SIZE = len(TEXTS)
TOKENS = CallTokens.create(TEXTS, {0})
ENDINGS = [[ID[b"\n"], ID[b"</think>"], ID[b"\n"], ID[b"\n"]]] + [[]] * 7
THINKING = ReasoningTokens(
    TEXTS, ENDINGS, False, [words(SIZE, [])] * 8, [words(SIZE, [])] * 8, words(SIZE, [])
)


class AnyOf:
    """A grammar of some texts, in any tokens."""

    def __init__(self, *texts, written=b""):
        self.texts, self.written = texts, written

    def mask(self):
        nexts = {text[len(self.written) :] for text in self.texts if text.startswith(self.written)}
        fitting = [
            number
            for number, text in enumerate(TEXTS)
            if text and any(each.startswith(text) for each in nexts)
        ]
        return words(SIZE, [*fitting, *([0] if b"" in nexts else [])])

    def accept(self, token_id):
        if not has(self.mask(), token_id):
            raise ValueError("not allowed")
        self.written += TEXTS[token_id]

    @property
    def is_done(self):
        return self.written in self.texts

    def fork(self):
        return AnyOf(*self.texts, written=self.written)


def rules(*, is_parallel=True, is_usual=False):
    """`is_usual`: with a vocabulary that has no tokens that would slip past, as most have none."""
    usual = dataclasses.replace(TOKENS, in_text=[None] * len(OPEN))
    return CallRules(usual if is_usual else TOKENS, AnyOf(*BODIES), is_parallel)


def optional(*written, reasoning=None, **options):
    return after(OptionalCalls(rules(**options), reasoning), *written)


def after(state, *written):
    for text in written:
        state.accept(ID[text])
    return state


def allowed(state):
    mask = state.mask()
    names = {TEXTS[each] for each in range(SIZE) if mask is None or has(mask, each)}
    return {EOS if text == b"" else text for text in names}


EVERYTHING = {EOS, *TEXTS} - {b""}
SLIPS = {OPEN + b"\n{"}
"""Tokens that have the whole mark and more."""
SPELLED = (b"<tool", b"_call", b">")
FIRST = (b"\n{", b"f}\n")


def test_free_text_is_any_but_for_what_would_slip_past_the_grammar():
    assert allowed(optional()) == EVERYTHING - SLIPS
    assert allowed(optional(b"x", b"<tool")) == EVERYTHING - SLIPS
    assert allowed(optional(b"x", *SPELLED[:2])) == EVERYTHING - SLIPS - {b">\n", b">\n{", b">x"}


@pytest.mark.parametrize("mark", [(OPEN,), SPELLED, (b"<", b"tool_call", b">"), (b"x<",)], ids=str)
def test_behind_the_mark_the_call_is_constrained_however_it_is_written(mark):
    if mark == (b"x<",):
        mark = (b"x<", b"tool_call", b">")
    state = optional(b"y", *mark)
    assert allowed(state) == {b"\n", b"\n{"}
    assert state.num_free == 0
    after(state, b"\n", b"{")
    assert allowed(state) == {b"f", b"f}\n", b"g"}


def test_a_call_ends_with_its_mark_and_then_the_output_ends_or_goes_on_with_a_call():
    state = optional(OPEN, *FIRST)
    assert allowed(state) == {b"<", b"</", CLOSE}
    after(state, b"</", b"tool_call")
    assert allowed(state) == {b">"}
    after(state, b">")
    assert allowed(state) == {EOS, b"\n", b"\n<"}
    assert not state.is_done
    after(state, b"\n")
    assert allowed(state) == {b"<", b"<t", b"<tool", OPEN}
    after(state, OPEN)
    assert allowed(state) == {b"\n", b"\n{"}
    assert after(state, *FIRST, CLOSE, EOS).is_done


def test_one_call_ends_the_output_where_calls_are_not_parallel():
    assert after(optional(OPEN, *FIRST, is_parallel=False), CLOSE).is_done


def test_an_answer_has_no_more_calls_than_a_message_can_have():
    state = optional(OPEN, *FIRST, CLOSE)
    for _ in range(MAX_CALLS - 1):
        assert not state.is_done
        after(state, b"\n", OPEN, *FIRST, CLOSE)
    assert state.is_done


def test_text_without_a_call_is_not_ended_here():
    state = optional(b"x", b"<tool", b"x", EOS, is_usual=True)
    assert not state.is_done
    assert state.mask() is None
    assert state.num_free == math.inf


@pytest.mark.parametrize("written", [(OPEN + b"\n{",), (*SPELLED[:2], b">x"), (OPEN, b"x")])
def test_a_token_that_is_not_allowed_is_an_error(written):
    with pytest.raises(ValueError, match="not allowed"):
        optional(*written)


def test_a_mark_in_the_reasoning_is_text():
    state = optional(b"<think>", b"x", OPEN, b"\n{", b"x", b"</think>", b"\n")
    assert allowed(state) == EVERYTHING - SLIPS
    assert allowed(after(state, OPEN)) == {b"\n", b"\n{"}
    assert allowed(optional(b"<think>", b"</think>" + OPEN)) == {b"\n", b"\n{"}


def test_a_mark_that_the_end_of_the_reasoning_interrupts_is_none():
    state = optional(b"<think>", b"<tool", b"</think>", b"_call", b">")
    assert allowed(state) == EVERYTHING - SLIPS


def test_an_answer_may_begin_as_both_marks_do():
    assert allowed(optional(b"<t", b"o", b"o", b"l", b"_call", b">")) == {b"\n", b"\n{"}
    assert allowed(optional(b"<t", b"h", b"i", b"n", b"k", b">", OPEN)) == EVERYTHING - SLIPS


def test_a_budget_of_reasoning_ends_it_before_the_calls():
    state = optional(b"<think>", reasoning=ReasoningRules(THINKING, 2), is_usual=True)
    assert state.num_free == 2
    after(state, OPEN, b"x")
    assert state.num_free == 0
    for token_id in ENDINGS[0]:
        assert allowed(state) == {TEXTS[token_id]}
        state.accept(token_id)
    assert state.num_free == math.inf
    assert allowed(after(state, OPEN)) == {b"\n", b"\n{"}


def test_only_what_is_free_says_so():
    assert num_free(optional(b"x")) == 0  # this vocabulary has a token that would slip past
    assert num_free(None) == num_free(AnyOf(b"x")) == math.inf
    assert isinstance(constraint_of(None, None, rules()), OptionalCalls)
    assert isinstance(constraint_of(ReasoningRules(THINKING), AnyOf(b"x")), Reasoning)


def either(*written, formats=(b"{g}", b"1")):
    return after(FormatOrCalls(rules(), AnyOf(*formats)), *written)


def test_an_answer_has_its_format_or_is_calls():
    assert allowed(either()) == {b"{", b"{g", b"1", b"<", b"<t", b"<tool", OPEN}
    assert allowed(either(b"{")) == {b"g"}
    assert either(b"1").is_done
    assert allowed(either(b"<")) == {b"t", b"tool_call"}
    state = either(*SPELLED)
    assert allowed(state) == {b"\n", b"\n{"}
    assert after(state, *FIRST, CLOSE, EOS).is_done


def test_a_format_may_begin_as_the_mark_does_until_it_is_clear():
    state = either(b"<", formats=(b"<ty",))
    assert allowed(after(state.fork(), b"t")) == {b"y", b"o"}
    assert after(state.fork(), b"t", b"y").is_done
    assert allowed(after(state.fork(), b"tool_call", b">")) == {b"\n", b"\n{"}
    assert allowed(state) == {b"t", b"tool_call"}


def test_a_copy_of_calls_goes_its_own_way():
    state = either(OPEN)
    copy = state.fork()
    after(state, *FIRST, CLOSE, EOS)
    assert state.is_done
    assert not copy.is_done
    assert allowed(copy) == {b"\n", b"\n{"}


def test_what_is_neither_the_format_nor_a_mark_is_an_error():
    with pytest.raises(ValueError, match="not allowed"):
        either(b"x")
    with pytest.raises(ValueError, match="not allowed"):
        either(b"<", b"x")


@st.composite
def outputs(draw, state):
    """Return an output of tokens that the constraint allows, which is drawn towards calls."""
    written, wanted = b"", draw(st.lists(st.sampled_from([*LONGER, OPEN, b"x"]), max_size=12))
    for text in wanted:
        if has_all(state) or text in allowed(state):
            state.accept(ID[text])
            written += text
    while not state.is_done and len(written) < 120:
        names = sorted(allowed(state))
        name = draw(st.sampled_from(names))
        if name == EOS:
            return written, True
        state.accept(ID[name])
        written += name
    return written, state.is_done


def has_all(state):
    return state.mask() is None


@given(st.data(), st.booleans())
def test_whatever_is_allowed_is_text_and_then_whole_calls(data, is_parallel):
    written, is_ended = data.draw(outputs(optional(is_parallel=is_parallel)))
    answer = written
    if written.lstrip(b"\n ").startswith(b"<think>"):
        answer = written.partition(b"<think>")[2].partition(b"</think>")[2]
    _, mark, calls = answer.partition(OPEN)
    if not mark:
        return
    assert is_calls(calls, is_ended=is_ended)
    if not is_parallel:
        assert OPEN not in calls


def is_calls(text, *, is_ended):
    """Whether a text is calls behind the first mark, the last of which may be cut."""
    for body in BODIES:
        whole = body + CLOSE
        if text == whole or (not is_ended and whole.startswith(text)):
            return True
        if text.startswith(whole):
            rest = text.removeprefix(whole)
            separator = b"\n" + OPEN
            if not is_ended and separator.startswith(rest):
                return True
            if rest.startswith(separator):
                return is_calls(rest.removeprefix(separator), is_ended=is_ended)
    return False


@given(st.data())
def test_the_same_text_in_other_tokens_is_constrained_alike(data):
    text = data.draw(st.sampled_from([b"x", b"<", b"x <tool_c", b""])) + OPEN + BODIES[1] + CLOSE
    splits = data.draw(st.sets(st.integers(1, len(text) - 1)))
    state, at = optional(), 0
    while at < len(text):
        ends = [end for end in range(len(text), at, -1) if text[at:end] in ID]
        end = next((end for end in ends if end in splits), at + 1)
        piece = text[at:end]
        if piece not in allowed(state):  # it would slip past, or is two parts at once
            piece = text[at : at + 1]
        state.accept(ID[piece])
        at += len(piece)
    assert allowed(state) == {EOS, b"\n", b"\n<"}
