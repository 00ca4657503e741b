"""The table of the parameters of `/v1/audio/transcriptions`, OpenAI's transcription API.

Pure.
"""

from flamingo_common.wire.parameters import GENERATION, Table, ignored, implemented, refused

_NO_SPEAKERS = "the model does not tell voices apart by name"
_OF_ANSWERS_IN_JSON = frozenset(
    {
        *("response_format", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),
        *("guided_json_object", "guided_decoding_backend", "guided_whitespace_pattern", "audio"),
    }
)
"""Parameters of captions that this API does not have, or has in another form."""

TRANSCRIPTION: Table = {
    **{name: row for name, row in GENERATION.items() if name not in _OF_ANSWERS_IN_JSON},
    **implemented("OpenAI", "prompt language response_format timestamp_granularities"),
    **implemented("Flamingo", "audio"),
    **ignored(
        "OpenAI",
        {"chunking_strategy": "the model listens to the clip as a whole"},
    ),
    **refused(
        "OpenAI",
        {
            "include": ("use /v1/chat/completions for log probabilities", ([],)),
            "keywords": ("write them into prompt", ([],)),
            "languages": ("write them into prompt", ([],)),
            "known_speaker_names": (_NO_SPEAKERS, ([],)),
            "known_speaker_references": (_NO_SPEAKERS, ([],)),
            "n": ("the response has one text; use /v1/chat/completions", (1,)),
        },
    ),
    **ignored("vLLM", {"stream_include_usage": "the last event of a stream has the usage"}),
    **refused(
        "vLLM",
        {
            "to_language": ("lyrics stay in their language; ask /v1/chat/completions", ()),
            "max_completion_tokens": ("use max_tokens", ()),
            "stream_continuous_usage_stats": ("usage is sent once, at the end", (False,)),
        },
    ),
}
