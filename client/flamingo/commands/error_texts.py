"""Errors in the words of the command line: flags instead of the API's parameters and headers.

A server names what a caller of its API can set (`truncate`), and a reader in a terminal has a flag
for it (`--truncate`).

Pure.
"""

import re
from typing import Any

from flamingo_common import errors
from flamingo_common.errors import FlamingoError

PHRASES = {
    "set truncate to true to process only its beginning": "--truncate processes its beginning",
    "set allow_damaged to true to process it anyway": "--allow-damaged processes it anyway",
    "and allow_damaged is false": "and --no-allow-damaged is set",
    "in the header Authorization: Bearer KEY": "with --api-key or FLAMINGO_API_KEY",
    "start a fleet with `flamingo up`, or set its URL (--url, base_url or FLAMINGO_URL)": (
        "start a fleet with `flamingo up`, or name its URL with --url or FLAMINGO_URL"
    ),
    "check its URL (--url, base_url or FLAMINGO_URL)": "check its URL (--url or FLAMINGO_URL)",
}
FLAGS = {
    "allow_damaged": "--allow-damaged",
    "max_tokens": "--max-tokens",
    "max_completion_tokens": "--max-tokens",
    "timeout_s": "the time limit",
}
"""Parameters whose names are not plain words."""
_FLAG = re.compile(rf"(?<![\w-])({'|'.join(FLAGS)})(?![\w-])")


def in_flags(message: str) -> str:
    """Return a message of a server or of the client on one line, with flags for parameters."""
    line = " ".join(message.split())
    for phrase, words in PHRASES.items():
        line = line.replace(phrase, words)
    return _FLAG.sub(lambda found: FLAGS[found[1]], line)


def to_json(error: FlamingoError) -> dict[str, Any]:
    """Return OpenAI's error object, with the request ID if a server sent one."""
    described: dict[str, Any] = errors.to_body(error)["error"]
    described = {**described, "message": in_flags(error.message)}
    return {"error": described | ({"request_id": error.request_id} if error.request_id else {})}
