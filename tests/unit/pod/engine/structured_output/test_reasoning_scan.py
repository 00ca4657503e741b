"""Where in its output a sequence is, however its text is split into tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.structured_output.reasoning_scan import CLOSE, Phase, ReasoningScan
from flamingo_pod.text.reasoning import ReasoningSplitter

SIZES = st.lists(st.integers(1, 9), max_size=30)


def pieces(text, sizes):
    at = 0
    for size in [*sizes, len(text)]:
        yield text[at : at + size]
        at += size


def scan(*tokens, **options):
    scanned = ReasoningScan(**options)
    for token in tokens:
        scanned.push(token)
    return scanned


@pytest.mark.parametrize(
    ("tokens", "phase"),
    [
        ([], Phase.START),
        ([b"\n", b"<th"], Phase.START),
        ([b""], Phase.START),
        ([b"<th", b"ink>"], Phase.REASONING),
        ([b"<think>", b"How</thin"], Phase.REASONING),
        ([b"<think>", b"How?</", b"think", b">\n\n"], Phase.BETWEEN),
        ([b"<think>How?</think>", b"\n", b""], Phase.BETWEEN),
        ([b"<think>How?</think>", b"\n", b" C"], Phase.ANSWER),
        ([b"<think>How?</think>C"], Phase.ANSWER),
        ([b"<thank>"], Phase.ANSWER),
        ([b"C", b"<think>"], Phase.ANSWER),
    ],
)
def test_the_phase_is_that_of_the_bytes_so_far(tokens, phase):
    assert scan(*tokens).phase is phase


def test_tokens_behind_the_opening_mark_are_counted_up_to_the_closing_one():
    assert scan(b"<", b"think", b">").num_tokens == 0
    assert scan(b"<think>", b"How", b"", b"?").num_tokens == 3
    assert scan(b"<think>", b"How", b"</think>", b"C", b"D").num_tokens == 2
    assert scan(b"How", is_open=True).num_tokens == 1


@pytest.mark.parametrize(
    ("tokens", "num_matched"),
    [([], 0), ([b"\n<th"], 3), ([b"<think>a"], 0), ([b"<think>a<", b"</th"], 4)],
)
def test_it_knows_how_much_of_the_next_mark_is_written(tokens, num_matched):
    assert scan(*tokens).num_matched == num_matched


@given(st.text(alphabet="<>/think \nC", max_size=40), SIZES, st.booleans())
def test_it_agrees_with_the_text_that_is_split(text, sizes, is_open):
    splitter = ReasoningSplitter(is_open=is_open)
    scanned = ReasoningScan(is_open=is_open)
    answer = ""
    for piece in pieces(text, sizes):
        answer += splitter.push(piece).answer
        scanned.push(piece.encode())
    assert (scanned.phase is Phase.ANSWER) == bool(answer)
    assert (scanned.phase is Phase.REASONING) == splitter.is_reasoning


@given(st.binary(max_size=40), SIZES)
def test_the_phase_does_not_depend_on_the_tokens(text, sizes):
    text = b"<think>" + text + CLOSE
    assert scan(*pieces(text, sizes)).phase is scan(text).phase
