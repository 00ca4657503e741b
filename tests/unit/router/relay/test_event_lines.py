"""Streams of events, passed on in whole lines."""

from hypothesis import given
from hypothesis import strategies as st

from flamingo_router.relay.event_lines import MAX_LINE_BYTES, EventLines


@given(st.binary(max_size=300), st.lists(st.integers(1, 20)))
def test_lines_lose_and_change_nothing(stream, sizes):
    lines, sent, at = EventLines(), b"", 0
    for size in [*sizes, len(stream)]:
        ready = lines.feed(stream[at : at + size])
        at += size
        assert not ready or ready.endswith(b"\n")
        sent += ready

    assert sent + lines.rest() == stream


def test_a_whole_line_is_not_held_back():
    lines = EventLines()

    assert lines.feed(b"data: 1\n\nda") == b"data: 1\n\n"
    assert lines.feed(b"ta: 2\n") == b"data: 2\n"
    assert not lines.is_mid_line


def test_a_line_over_the_limit_is_passed_on_in_parts():
    lines, long = EventLines(), b"x" * (MAX_LINE_BYTES + 1)

    assert lines.feed(long) == long
    assert lines.is_mid_line
    assert lines.feed(b"y\n") == b"y\n"
    assert not lines.is_mid_line


def test_a_stream_is_complete_after_its_last_event_only():
    lines = EventLines()
    lines.feed(b'data: {"content": "data: [DONE]"}\n\n')
    assert not lines.is_done
    lines.feed(b"data: [DO")
    assert not lines.is_done
    lines.feed(b"NE]\n\n")
    assert lines.is_done


def test_the_last_event_of_a_response_has_its_type():
    lines = EventLines()
    lines.feed(b'event: response.completed\ndata: {"type":"response.created"}\n\n')
    assert not lines.is_done
    lines.feed(b'data: {"type":"response.incomplete","sequence_number":7}\n\n')
    assert lines.is_done
