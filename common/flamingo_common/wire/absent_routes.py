"""What to use instead of a route that does not exist: of OpenAI's API, or a mistyped one.

Pure.
"""

import re
from collections.abc import Collection

_PREFIX = "/v1"
HINTS = tuple(
    (re.compile(pattern), hint)
    for pattern, hint in {
        r"/v1/responses/.+": "responses are not stored: POST /v1/responses returns the answer"
        " itself, and earlier items are sent again in input",
        r"/v1/conversations(?:/.*)?": "conversations are not stored: send the earlier items in"
        " input of /v1/responses, or the messages to /v1/chat/completions",
        r"/v1/chat/completions/.+": "chat completions are not stored",
        r"/v1/(?:threads|assistants)(?:/.*)?": "use /v1/responses or /v1/chat/completions",
        r"/v1/completions": "the model has a chat template: use /v1/chat/completions",
        r"/v1/audio/speech": "the model has no audio output",
        r"/v1/audio/translations": "/v1/audio/transcriptions writes lyrics in their own language;"
        " ask for a translation in /v1/chat/completions",
    }.items()
)


def hint(path: str, known: Collection[str]) -> str | None:
    """Return what to use instead of `path`, which does not exist; None if that is unknown.

    `known` are the paths that exist.
    """
    for candidate in (_PREFIX + path, path.removeprefix(_PREFIX), path.rstrip("/")):
        if candidate != path and candidate in known:
            return f"did you mean {candidate}?"
    return next((text for pattern, text in HINTS if pattern.fullmatch(path)), None)
