"""The table of the parameters inside messages and other nested objects.

Beside those of the HTTP APIs it has what clients add to messages, and what they send back
from an earlier response: `refusal`, `annotations`, `cache_control` and others.

Pure.
"""

from flamingo_common.wire.parameters import Table, ignored, implemented, refused

_CACHE = "prompts and clips are cached without it"
_LABEL = "a label of the message"
_CACHE_MARKS: Table = {
    **ignored("OpenAI", {"prompt_cache_breakpoint": _CACHE}),
    **ignored("other", {"cache_control": _CACHE}),
}

MESSAGE: Table = {
    **implemented("OpenAI", "role content tool_calls function_call"),
    **ignored(
        "OpenAI",
        {
            "name": "the chat template has no names of participants",
            "annotations": "they describe an earlier answer, which is in content",
            "tool_call_id": "the results of calls are read in their order",
            "parsed": "OpenAI's clients add it to an answer; it is content, read",
        },
    ),
    **refused(
        "OpenAI",
        {
            "refusal": ("send the text of an earlier answer in content", ("",)),
            "audio": ("the model has no audio output; audio parts belong into content", ()),
        },
    ),
    **ignored(
        "vLLM",
        {
            "reasoning": "the reasoning of an earlier answer is not part of the prompt",
            "reasoning_content": "the reasoning of an earlier answer is not part of the prompt",
        },
    ),
    **ignored(
        "other",
        {
            "cache_control": _CACHE,
            "id": _LABEL,
            "created_at": _LABEL,
            "metadata": _LABEL,
            "provider_specific_fields": "LiteLLM adds it to an answer; it has no text",
            "reasoning_details": "the reasoning of an earlier answer is not part of the prompt",
            "thinking_blocks": "the reasoning of an earlier answer is not part of the prompt",
        },
    ),
    **refused(
        "other",
        {
            "images": ("the model has no images", ([],)),
            "prefix": ("the model always writes a new message", (False,)),
            "partial": ("the model always writes a new message", (False,)),
        },
    ),
}
_CONTENTS = ("text", "input_audio", "audio_url", "audio", "file")
"""The types of parts, each named like the field that it has."""


def _of_other_parts(own: str) -> Table:
    """Return the fields of the other types: null is harmless.

    Rows of a table (Arrow, and so Ray Data and Hugging Face's datasets) have all of its columns.
    """
    others = [name for name in _CONTENTS if name != own]
    return refused("other", {name: (f"it belongs to a part of type {name}", ()) for name in others})


TEXT_PART: Table = {
    **implemented("OpenAI", "type text"),
    **_of_other_parts("text"),
    **_CACHE_MARKS,
    **ignored("OpenAI", {"annotations": "they describe an earlier answer"}),
    **ignored("other", {"id": "a label of the part"}),
}
_UUID = ignored("vLLM", {"uuid": "clips are cached by their contents"})
_AUDIO_PART: Table = {
    **implemented("OpenAI", "type"),
    **_CACHE_MARKS,
    **_UUID,
    **ignored("other", {"id": "a label of the part"}),
}
INPUT_AUDIO_PART: Table = {
    **implemented("OpenAI", "input_audio"),
    **_of_other_parts("input_audio"),
    **_AUDIO_PART,
    **implemented("vLLM", "uuid"),
}
AUDIO_URL_PART: Table = {
    **implemented("vLLM", "audio_url"),
    **_of_other_parts("audio_url"),
    **_AUDIO_PART,
    **implemented("vLLM", "uuid"),
}
FILE_PART: Table = {
    **implemented("OpenAI", "file"),
    **_of_other_parts("file"),
    **_AUDIO_PART,
}
FILE: Table = {
    **implemented("OpenAI", "file_id"),
    **ignored("OpenAI", {"filename": "a label of the clip"}),
    **refused("OpenAI", {"file_data": ("send the audio as input_audio", ())}),
}
AUDIO_PART: Table = {
    **implemented("Flamingo", "audio"),
    **_of_other_parts("audio"),
    **_AUDIO_PART,
}
_PART_OF_CLIP = "it is a field of the request, beside messages, audio or input"
_AUDIO: Table = {
    **refused("other", {"start": (_PART_OF_CLIP, ()), "end": (_PART_OF_CLIP, ())}),
    **ignored("OpenAI", {"format": "the format is detected from the data"}),
    **_UUID,
    **ignored(
        "other",
        {
            "detail": "it is for images",
            "filename": "a label of the clip",
            "mime_type": "the format is detected from the data",
            "media_type": "the format is detected from the data",
        },
    ),
}
AUDIO: Table = {**implemented("OpenAI", "data"), **implemented("Flamingo", "url id"), **_AUDIO}
AUDIO_URL: Table = {**implemented("vLLM", "url"), **_AUDIO}
STREAM_OPTIONS: Table = {
    **implemented("OpenAI", "include_usage"),
    **ignored("OpenAI", {"include_obfuscation": "events are never padded"}),
    **refused("vLLM", {"continuous_usage_stats": ("usage is sent once, at the end", (False,))}),
}
RESPONSE_FORMAT: Table = {
    **implemented("OpenAI", "type json_schema"),
    **refused("other", {"schema": ("set type to json_schema, and json_schema.schema", ())}),
}
QUESTION: Table = {
    **implemented("Flamingo", "name prompt style recipe decisions orders measured parser"),
    **implemented(
        "OpenAI",
        "max_tokens temperature top_p frequency_penalty presence_penalty logit_bias seed stop"
        " response_format",
    ),
    **implemented(
        "vLLM",
        "top_k min_p repetition_penalty stop_token_ids include_stop_str_in_output min_tokens"
        " ignore_eos thinking_token_budget structured_outputs",
    ),
    **refused(
        "OpenAI",
        {
            "n": ("a question has one answer; ask it twice, with two seeds", (1,)),
            "stream": ("set stream in the request: all answers are streamed together", (False,)),
        },
    ),
}
JSON_SCHEMA: Table = {
    **implemented("OpenAI", "schema"),
    **ignored(
        "OpenAI",
        {
            "name": "the schema alone is enforced",
            "description": "the schema alone is enforced; describe the answer in the prompt",
            "strict": "a schema is always enforced",
        },
    ),
}
STRUCTURED_OUTPUTS: Table = {
    **implemented("vLLM", "json regex choice grammar json_object disable_any_whitespace"),
    **ignored("vLLM", {"disable_fallback": "there is one implementation of structured output"}),
    **refused(
        "vLLM",
        {
            "disable_additional_properties": ("set additionalProperties in the schema", (False,)),
            "whitespace_pattern": ("JSON has up to 32 blanks, or none, between its parts", ()),
            "structural_tag": ("use tools with tool_choice, or grammar", ()),
        },
    ),
}
_CACHED_TOOL: Table = {**ignored("other", {"cache_control": _CACHE})}
TOOL: Table = {
    **implemented("OpenAI", "type function"),
    **refused("OpenAI", {"custom": ("only functions are called", ())}),
    **_CACHED_TOOL,
}
FUNCTION: Table = {
    **implemented("OpenAI", "name description parameters"),
    **ignored("OpenAI", {"strict": "a schema is always enforced"}),
    **_CACHED_TOOL,
}
FUNCTION_REF: Table = implemented("OpenAI", "name")
NAMED_TOOL: Table = implemented("OpenAI", "type function")
ALLOWED_TOOLS: Table = implemented("OpenAI", "mode tools")
ALLOWED_TOOLS_CHOICE: Table = implemented("OpenAI", "type allowed_tools")
CALLED_FUNCTION: Table = {
    **implemented("OpenAI", "name arguments"),
    **ignored(
        "OpenAI", {"parsed_arguments": "OpenAI's clients add it to a call; it is arguments, read"}
    ),
}
TOOL_CALL: Table = {
    **implemented("OpenAI", "type function"),
    **ignored(
        "OpenAI",
        {
            "id": "the results of calls are read in their order",
            "index": "calls are read in their order",
        },
    ),
    **ignored("other", {"provider_specific_fields": "LiteLLM adds it to an answer"}),
}
