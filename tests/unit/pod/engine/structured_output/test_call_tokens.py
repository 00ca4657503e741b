"""The tables of what the tokens of a vocabulary do to the marks around calls."""

import pytest

from flamingo_pod.engine.structured_output.call_tokens import CLOSE, FURTHER, OPEN, CallTokens
from flamingo_pod.engine.structured_output.reasoning_tokens import has

BYTES = [bytes([each]) for each in sorted({*CLOSE, *FURTHER})]
TEXTS = [b"", *BYTES, b"tool", b"_call>", b"call>\n", b">\n", OPEN, CLOSE, b"\n<", b"</", b"a<"]
TEXTS += [OPEN + b"\n", b"x>", b"a" + OPEN]
EOS = 0


def ids(mask):
    return {TEXTS[each] for each in range(len(TEXTS)) if has(mask, each)}


def test_a_mark_goes_on_where_it_is():
    tokens = CallTokens.create(TEXTS, {EOS})
    assert ids(tokens.opening[0]) == {b"<", OPEN}
    assert ids(tokens.opening[1]) == {b"t", b"tool"}
    assert ids(tokens.opening[5]) == {b"_", b"_call>"}
    assert ids(tokens.opening[10]) == {b">"}
    assert ids(tokens.closing[0]) == {b"<", b"</", CLOSE}
    assert ids(tokens.further[0]) == {b"\n", b"\n<"}
    assert ids(tokens.further[1]) == {b"<", OPEN}
    assert ids(tokens.end) == {b""}


def test_text_has_all_tokens_but_those_that_begin_the_call_with_the_mark():
    tokens = CallTokens.create(TEXTS, {EOS})
    everything = {*TEXTS}
    assert everything - ids(tokens.in_text[0]) == {OPEN + b"\n"}
    assert everything - ids(tokens.in_text[6]) == {OPEN + b"\n", b"call>\n"}
    assert everything - ids(tokens.in_text[10]) == {OPEN + b"\n", b">\n"}


def test_where_no_token_does_text_has_no_mask():
    texts = [text for text in TEXTS if not text.endswith((b">\n", OPEN + b"\n"))]
    assert CallTokens.create(texts, {EOS}).in_text == [None] * len(OPEN)


def test_tokens_that_cannot_write_the_marks_are_an_error():
    with pytest.raises(ValueError, match="cannot write <tool_call>"):
        CallTokens.create([text for text in TEXTS if b"_" not in text], {EOS})
