"""The table of the parameters of `/v1/decisions`, OpenAI's Decisions API, and of its objects.

Pure.
"""

from flamingo_common.wire.parameters import CLIP, Table, ignored, implemented, refused

_CACHED = "what was computed for a clip is cached without it"
_NO_TEXT = "the answers are probabilities, no text is generated"
_BREAKPOINT: Table = ignored("OpenAI", {"prompt_cache_breakpoint": _CACHED})

OPTIONS: Table = implemented("Flamingo", "orders temperature")
DECISIONS: Table = {
    **implemented("OpenAI", "model input questions"),
    **OPTIONS,
    **CLIP,
    **ignored(
        "OpenAI",
        {
            "user": "a label of the request",
            "safety_identifier": "a label of the request",
            "metadata": "a label of the request",
            "prompt_cache_key": _CACHED,
            "prompt_cache_options": _CACHED,
        },
    ),
    **refused(
        "OpenAI",
        {
            "stream": (_NO_TEXT + ", so nothing is streamed", (False,)),
            "messages": ("send the messages as input", ()),
        },
    ),
}
ASKED: Table = implemented("OpenAI", "instructions name")
QUESTION: Table = {**ASKED, **implemented("OpenAI", "type")}
CHOICE_QUESTION: Table = {**QUESTION, **implemented("OpenAI", "choices")}
SCORE_QUESTION: Table = {**QUESTION, **implemented("OpenAI", "levels")}
CHOICE: Table = implemented("OpenAI", "value description")
LEVEL: Table = implemented("OpenAI", "label description")
_NO_CALLS = "tools are not called; send calls and results as the text of a message"
INPUT_MESSAGE: Table = {
    **implemented("OpenAI", "role content type"),
    **ignored(
        "OpenAI",
        {
            "id": "a label of the message",
            "status": "a message is complete",
            "phase": "the prompt has no phases",
            "name": "the chat template has no names of participants",
        },
    ),
    **refused(
        "OpenAI",
        dict.fromkeys(("call_id", "arguments", "output", "input", "namespace"), (_NO_CALLS, ())),
    ),
}
INPUT_TEXT: Table = {
    **implemented("OpenAI", "type text"),
    **ignored("OpenAI", {"annotations": "they describe an earlier answer"}),
    **_BREAKPOINT,
}
INPUT_JSON: Table = {**implemented("OpenAI", "type data"), **_BREAKPOINT}
