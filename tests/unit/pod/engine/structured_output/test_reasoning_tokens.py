"""The tables of what the tokens of a vocabulary do to the marks around reasoning."""

import pytest

from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens, has, words

TEXTS = [b"", b"<", b"think", b">", b"</", b">\n\n", b">C", b"\n", b"C", b"<think>\n", b"</think>"]
TEXTS += [b"th", b"thin", b"</think>C", b"<x"] + [b"a"] * 30
EOS = 0


def of(texts=TEXTS, endings=None, eos_ids=(EOS,)):
    return ReasoningTokens.create(texts, endings or [[7, 10, 7]], eos_ids, is_open=False)


def ids(mask):
    return {TEXTS[each] for each in range(len(TEXTS)) if has(mask, each)}


def test_a_mask_has_the_tokens_that_it_was_made_of():
    mask = words(70, [0, 31, 32, 63, 64])
    assert len(mask) == 3
    assert [each for each in range(70) if has(mask, each)] == [0, 31, 32, 63, 64]


def test_the_opening_mark_goes_on_where_it_is():
    tokens = of()
    assert ids(tokens.opening[0]) == {b"<", b"<think>\n"}
    assert ids(tokens.opening[1]) == {b"th", b"thin", b"think"}
    assert ids(tokens.opening[6]) == {b">", b">\n\n"}


def test_before_a_constraint_nothing_ends_the_text_or_begins_the_answer_with_the_mark():
    tokens = of()
    everything = {*TEXTS}
    assert everything - ids(tokens.inside[0]) == {b"", b"</think>C"}
    assert everything - ids(tokens.inside[7]) == {b"", b"</think>C", b">C"}


def test_blank_tokens_have_nothing_else():
    assert ids(of().blank) == {b"\n"}


@pytest.mark.parametrize("ending", [[7, 8, 7], [8, 10], [10, 8], [3]])
def test_an_ending_that_does_not_spell_the_mark_is_an_error(ending):
    with pytest.raises(ValueError, match="closing mark"):
        of(endings=[ending])


def test_an_ending_can_be_the_rest_of_the_mark():
    texts = [*TEXTS, b"/think>"]
    assert of(texts, [[10], [len(TEXTS)], [2, 5]]).endings[2] == [2, 5]


def test_one_token_can_be_the_only_one():
    assert ids(of().only(7)) == {b"\n"}
