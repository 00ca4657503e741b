"""The table of the parameters of `/v1/responses`, OpenAI's Responses API, at every level.

What both APIs have is as in chat. What OpenAI keeps between requests, and the tools that it
hosts, are refused by name.

Pure.
"""

from flamingo_common.wire.parameters import (
    GENERATION,
    NO_LEVELS,
    Table,
    ignored,
    implemented,
    refused,
    refused_levels,
)

_NOT_STORED = "nothing is stored; send the earlier items in input"
_CACHE = "prompts and clips are cached without it"
_LABEL = "a label of the item"
_ORDER = "the results of calls are read in their order"
_IN_CHAT_ONLY = frozenset(
    {
        *("max_tokens", "response_format", "audio", "modalities", "prediction", "verbosity"),
        *("reasoning_effort", "web_search_options", "functions", "function_call", "tools"),
        *("tool_choice", "metadata", "store", "guided_json", "guided_regex", "guided_choice"),
        *("guided_grammar", "guided_json_object", "guided_decoding_backend"),
        "guided_whitespace_pattern",
    }
)
"""Parameters of chat that this API does not have, or has in another form."""

RESPONSES: Table = {
    **{name: row for name, row in GENERATION.items() if name not in _IN_CHAT_ONLY},
    **implemented(
        "OpenAI",
        "input instructions max_output_tokens text tools tool_choice parallel_tool_calls"
        " top_logprobs include metadata",
    ),
    **ignored(
        "OpenAI",
        {
            "store": "nothing is stored, and the response says store: false",
            "stream_options": "events are never padded, and the last one has the usage",
            "max_tool_calls": "there are no tools that the server calls",
            "background_options": "they are for background: true",
            "image": "the model has no images",
        },
    ),
    **refused(
        "OpenAI",
        {
            "previous_response_id": (_NOT_STORED, ("",)),
            "conversation": (_NOT_STORED, ()),
            "background": ("the answer is in the response; use /v1/batches for later", (False,)),
            "prompt": ("prompt templates are not stored; send the text in instructions", ()),
            "truncation": ("conversations are not shortened; send fewer items", ("disabled",)),
            "context_management": ("conversations are not shortened; send fewer items", ([],)),
            "access_programs": ("there are no access programs", ({}, {"cyber": "standard"})),
        },
    ),
    **refused(
        "other",
        {
            "messages": ("send the conversation in input", ()),
            "max_tokens": ("use max_output_tokens", ()),
            "max_completion_tokens": ("use max_output_tokens", ()),
            "response_format": ("use text.format", ({"type": "text"},)),
            "n": ("the response has one answer; use /v1/chat/completions", (1,)),
            "logprobs": ("use top_logprobs, or include: message.output_text.logprobs", (False,)),
            "verbosity": ("use text.verbosity", ()),
        },
    ),
    **refused_levels("OpenAI", {"reasoning": (NO_LEVELS, ({}, {"effort": "none"}))}),
    **refused_levels("other", {"reasoning_effort": (NO_LEVELS, ("none",))}),
}

MESSAGE_ITEM: Table = {
    **implemented("OpenAI", "type role content"),
    **ignored("OpenAI", {"id": _LABEL, "status": _LABEL, "phase": _LABEL}),
}
_PART: Table = {
    **ignored("OpenAI", {"prompt_cache_breakpoint": _CACHE}),
    **ignored("other", {"id": "a label of the part"}),
}
INPUT_TEXT: Table = {**implemented("OpenAI", "type text"), **_PART}
OUTPUT_TEXT: Table = {
    **implemented("OpenAI", "type text"),
    **ignored(
        "OpenAI",
        {
            "annotations": "they describe an earlier answer",
            "logprobs": "they describe an earlier answer",
        },
    ),
    **ignored("other", {"parsed": "OpenAI's clients add it to an answer; it is text, read"}),
    **_PART,
}
INPUT_FILE: Table = {
    **implemented("OpenAI", "type file_data file_url file_id"),
    **ignored(
        "OpenAI",
        {"filename": "the format is detected from the data", "detail": "it is for documents"},
    ),
    **_PART,
}
CALL_ITEM: Table = {
    **implemented("OpenAI", "type name arguments"),
    **ignored(
        "OpenAI",
        {
            "call_id": _ORDER,
            "id": _LABEL,
            "status": _LABEL,
            "caller": "every call is the model's own",
            "namespace": "functions have one namespace",
            "async": "a call is followed by its result",
        },
    ),
    **ignored(
        "other", {"parsed_arguments": "OpenAI's clients add it to a call; it is arguments, read"}
    ),
}
RESULT_ITEM: Table = {
    **implemented("OpenAI", "type output"),
    **ignored(
        "OpenAI",
        {
            "call_id": _ORDER,
            "name": _ORDER,
            "id": _LABEL,
            "status": _LABEL,
            "caller": "every call is the model's own",
            "namespace": "functions have one namespace",
        },
    ),
}
_REASONING = "the reasoning of an earlier answer is not part of the prompt"
REASONING_ITEM: Table = {
    **implemented("OpenAI", "type"),
    **ignored(
        "OpenAI",
        {
            "id": _LABEL,
            "status": _LABEL,
            "summary": _REASONING,
            "content": _REASONING,
            "encrypted_content": _REASONING,
        },
    ),
}
TEXT_CONFIG: Table = {
    **implemented("OpenAI", "format"),
    **ignored(
        "OpenAI",
        {"verbosity": "the model was not trained with it; ask for short answers in the prompt"},
    ),
}
TEXT_FORMAT: Table = {
    **implemented("OpenAI", "type schema"),
    **ignored(
        "OpenAI",
        {
            "name": "the schema alone is enforced",
            "description": "the schema alone is enforced; describe the answer in the prompt",
            "strict": "a schema is always enforced",
        },
    ),
}
FUNCTION_TOOL: Table = {
    **implemented("OpenAI", "type name description parameters"),
    **ignored(
        "OpenAI",
        {
            "strict": "a schema is always enforced",
            "output_schema": "results are read as text",
            "defer_loading": "all tools are part of the prompt",
        },
    ),
    **refused(
        "OpenAI",
        {
            "allowed_callers": ("every call is the model's own", (["direct"],)),
            "async": ("a call is followed by its result", (False,)),
        },
    ),
    **ignored("other", {"cache_control": _CACHE}),
}
TOOL_REF: Table = implemented("OpenAI", "type name")
ALLOWED_TOOLS: Table = implemented("OpenAI", "type mode tools")
