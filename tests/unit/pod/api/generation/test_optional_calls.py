"""An answer in which the model has decided on calls, read piece by piece."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.wire.tools import OptionalCall
from flamingo_pod.api.generation.optional_calls import AnswerReader
from flamingo_pod.text import tool_text

NAMES = ["get", "get_all"]
CALL = OptionalCall((), ())
LEGACY = OptionalCall((), (), is_parallel=False, is_legacy=True)


def answer(text, *calls):
    """Return an answer as the prompt of the next request shows it."""
    return tool_text.answer_text(text, [tool_text.call_json(*call) for call in calls])


def read(text, reason="stop", *, size=1000, has_format=False):
    """Return content, calls and the reader of an answer in pieces of this size."""
    reader = AnswerReader(NAMES, has_format=has_format)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    parts = [part for piece in pieces for part in reader.push(piece)]
    parts += reader.finish(reason)
    calls: list[list[str]] = []
    for part in parts:
        if part.name is not None:
            assert part.call == len(calls)
            calls.append([part.name, ""])
        if part.call is not None:
            assert part.call == len(calls) - 1
            calls[-1][1] += part.arguments
            assert not part.text
    return "".join(part.text for part in parts), calls, reader


TWO = [["get_all", '{"a": "}", "b": {}}'], ["get", "{}"]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("text", ["", "Let me see.", "a < b\n\n<tool"])
@pytest.mark.parametrize("calls", [[], TWO[:1], TWO])
def test_text_and_calls_are_what_was_written_however_they_arrive(text, calls, size):
    content, found, reader = read(answer(text, *calls), size=size)
    assert (content, found) == (text, calls)
    assert reader.finish_reason(CALL, "stop") == ("tool_calls" if calls else "stop")
    assert reader.finish_reason(LEGACY, "stop") == ("function_call" if calls else "stop")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
TEXT = st.text(alphabet="ab <>_\n", max_size=12) | st.just("x<tool_call")


@given(
    TEXT,
    st.lists(st.tuples(st.sampled_from(NAMES), st.dictionaries(st.text(max_size=5), JSON))),
    st.integers(1, 30),
    st.integers(0, 10_000),
)
def test_at_any_length_an_answer_is_a_beginning_of_the_whole_one(text, calls, size, num_chars):
    made = [[name, json.dumps(arguments, ensure_ascii=False)] for name, arguments in calls]
    whole = answer(text, *made)
    content, found, _ = read(whole, size=size)
    assert content == (text.rstrip() if calls else text)
    assert found == made
    cut, cut_calls, reader = read(whole[:num_chars], "length", size=size)
    assert f"{text}\n".startswith(cut)  # the line end before the first mark, if that is cut off
    assert "<tool_call>" not in cut
    assert cut_calls[:-1] == made[: len(cut_calls)][:-1]
    for one, expected in zip(cut_calls, made, strict=False):
        assert one[0] == expected[0]
        assert expected[1].startswith(one[1])
    assert reader.finish_reason(CALL, "length") == "length"


def test_no_part_of_a_mark_is_content_as_it_arrives():
    reader = AnswerReader(NAMES, has_format=False)
    assert [part.text for part in reader.push("Yes. \n<tool_")] == ["Yes."]
    assert [*reader.push("call>")] == []
    assert reader.has_marks
    reader = AnswerReader(NAMES, has_format=False)
    assert [part.text for part in reader.push("a <tool_")] == ["a"]
    assert [part.text for part in reader.push("box>")] == [" <tool_box>"]


def test_a_beginning_of_a_mark_is_text_if_the_model_ends_there():
    assert read("a <tool_")[0] == "a <tool_"
    assert read("a <tool_", "length")[0] == "a "


@pytest.mark.parametrize(
    ("text", "calls", "is_whole"),
    [
        ("<tool_call>", [], False),
        ('<tool_call>\n{"name": "get", "argum', [], False),
        ('<tool_call>\n{"name": "get", "arguments": ', [["get", ""]], False),
        ('<tool_call>\n{"name": "get", "arguments": {"a": {', [["get", '{"a": {']], False),
        ('<tool_call>\n{"name": "get", "arguments": {"a": {}', [["get", '{"a": {}']], False),
        ('<tool_call>\n{"name": "get", "arguments": {"a": {}}', [["get", '{"a": {}}']], True),
        ('<tool_call>\n{"name": "get", "arguments": {"a": {}}}', [["get", '{"a": {}}']], True),
        ('<tool_call>\n{"name": "get", "arguments": {}}\n</tool', [["get", "{}"]], True),
    ],
)
def test_a_call_that_is_cut_has_what_was_written_of_its_arguments(text, calls, is_whole):
    for size in (1, 1000):
        content, found, reader = read(text, "length", size=size)
        assert (content, found) == ("", calls)
        assert reader.finish_reason(CALL, "length") == "length"
        # By a stop string, which ends the output without a word about what it is in.
        expected = "tool_calls" if is_whole else "stop"
        assert reader.finish_reason(CALL, "stop") == expected


def test_a_second_call_that_is_cut_in_its_name_is_not_there():
    text = answer("", ["get", "{}"]) + '\n<tool_call>\n{"na'
    _, found, reader = read(text, "length")
    assert found == [["get", "{}"]]
    assert reader.finish_reason(CALL, "stop") == "stop"


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_an_answer_with_a_format_is_it_or_calls(size):
    text = '{"a": "<tool_call>\\n"}  '
    assert read(text, size=size, has_format=True)[:2] == (text, [])
    assert read(answer("", *TWO), size=size, has_format=True)[:2] == ("", TWO)
    assert read("<tool", size=size, has_format=True)[0] == "<tool"
