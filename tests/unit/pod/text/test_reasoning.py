"""The reasoning before an answer, however its text is split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.text.reasoning import ReasoningSplitter

SIZES = st.lists(st.integers(1, 9), max_size=20)


def split(text, sizes=()):
    """Return reasoning and answer of a text that arrives in pieces of these sizes."""
    splitter, pieces, at = ReasoningSplitter(), [], 0
    for size in [*sizes, max(len(text), 1)]:
        pieces.append(splitter.push(text[at : at + size]))
        at += size
    pieces.append(splitter.finish())
    return "".join(each.reasoning for each in pieces), "".join(each.answer for each in pieces)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("C major", "", "C major"),
        ("  C major\n", "", "  C major\n"),
        ("", "", ""),
        ("<think>", "", ""),
        ("<think>How?</think>C major", "How?", "C major"),
        ("\n<think>\nHow?\n</think>\n\nC major.\n", "How?", "C major.\n"),
        ("<think></think>C", "", "C"),
        ("<think>1 < 2 </thin </think>C", "1 < 2 </thin", "C"),
        ("<think>How", "How", ""),
        ("<think>How?</thi", "How?</thi", ""),
        ("<thi", "", "<thi"),
        ("<thinking>no</thinking>", "", "<thinking>no</thinking>"),
        ("C <think>How?</think>", "", "C <think>How?</think>"),
        ("<think>a</think>b</think><think>c", "a", "b</think><think>c"),
    ],
)
@given(sizes=SIZES)
def test_an_answer_that_begins_with_the_mark_is_split_after_its_reasoning(
    text, reasoning, answer, sizes
):
    assert split(text, sizes) == (reasoning, answer)


@given(st.text(alphabet="<>/think \n", max_size=40), SIZES)
def test_the_pieces_do_not_depend_on_how_the_text_arrives(text, sizes):
    assert split(text, sizes) == split(text)


def test_text_of_an_answer_is_not_held_back():
    splitter = ReasoningSplitter()
    assert splitter.push("C").answer == "C"
    assert splitter.push("<").answer == "<"


def test_it_says_whether_the_reasoning_goes_on():
    splitter = ReasoningSplitter()
    splitter.push("<think>How")
    assert splitter.is_reasoning
    splitter.push("</think>")
    assert not splitter.is_reasoning
