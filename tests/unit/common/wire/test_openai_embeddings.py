"""Request bodies of OpenAI's embeddings API."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import openai_embeddings, parse

SONG = "data:audio/mpeg;base64,AAAA"


PARTS = [
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
    {"type": "audio_url", "audio_url": {"url": SONG}},
    {"type": "audio", "audio": {"data": "AAAA"}},
]


@pytest.mark.parametrize(
    ("fields", "num_clips"),
    [
        ({"input": SONG}, 1),
        ({"input": "https://example.com/song.mp3"}, 1),
        ({"input": [SONG, SONG]}, 2),
        *(({"input": part}, 1) for part in PARTS),
        ({"input": [*PARTS, SONG]}, 4),
        *(({"messages": [{"role": "user", "content": [part]}]}, 1) for part in PARTS),
        ({"input": [SONG] * openai_embeddings.MAX_INPUTS}, openai_embeddings.MAX_INPUTS),
    ],
)
def test_clips_are_accepted_in_every_form(fields, num_clips):
    parsed = parse.validate_request(openai_embeddings.OpenAIEmbeddingRequest, fields)
    assert len(parsed.clips) == num_clips
    assert {clip.data or clip.url for clip in parsed.clips.values()} <= {
        "AAAA",
        SONG,
        "https://example.com/song.mp3",
    }


WORDS = {"type": "text", "text": "a sad song"}


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({}, "body", "exactly one of input and messages"),
        ({"input": None}, "body", "exactly one of input and messages"),
        (
            {"input": SONG, "messages": [{"role": "user", "content": PARTS[:1]}]},
            "body",
            "exactly one",
        ),
        ({"input": "a sad song"}, "input", "embeds audio, not text"),
        ({"input": [SONG, "a sad song"]}, "input", "embeds audio, not text"),
        ({"input": [1, 2, 3]}, "input", "embeds audio, not text"),
        ({"input": []}, "input", "at least 1"),
        ({"input": [SONG] * 33}, "input", "at most 32"),
        ({"input": WORDS}, "input[0].type", "input_audio"),
        ({"input": {"type": "audio", "audio": {}}}, "input[0].audio", "exactly one of data"),
        ({"messages": [{"role": "user", "content": "sad"}]}, "messages", "no text"),
        ({"messages": [{"role": "user", "content": PARTS}]}, "messages", "one audio part"),
        ({"messages": [{"role": "user", "content": [WORDS, PARTS[0]]}]}, "messages", "no text"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "function_call": {"name": "a", "arguments": "{}"},
                        "content": None,
                    },
                    {"role": "user", "content": PARTS[:1]},
                ]
            },
            "messages",
            "no text",
        ),
        ({"input": SONG, "pooling": "none"}, "pooling", "mean"),
        ({"input": SONG, "encoding_format": "npy"}, "encoding_format", "base64"),
        ({"input": SONG, "dimensions": 0}, "dimensions", "1"),
    ],
)
def test_an_invalid_request_is_rejected_with_a_reason(fields, param, reason):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(openai_embeddings.OpenAIEmbeddingRequest, fields)
    assert caught.value.param == param
    assert reason in str(caught.value)
