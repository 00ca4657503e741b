"""Encoding and decoding of server-sent events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.wire import sse


@given(st.lists(st.text(max_size=40), max_size=8), st.data())
def test_events_are_decoded_however_the_stream_is_split(texts, data):
    stream = b": hello\n\n" + b"".join(sse.encode_event(json.dumps(text)) for text in texts)
    decoder, got = sse.EventDecoder(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert [json.loads(payload) for payload in got] == texts


def test_an_endless_event_is_rejected():
    decoder = sse.EventDecoder()
    with pytest.raises(ValueError, match="exceeds"):
        decoder.feed(b"data: " + b"x" * (sse.MAX_EVENT_BYTES + 1))
