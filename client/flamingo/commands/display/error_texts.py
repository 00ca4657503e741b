"""Errors in the words of the command line: flags instead of the API's parameters and headers.

A server names what a caller of its API can set (`truncate`), and a reader in a terminal has a flag
for it (`--truncate`).

Pure.
"""

import re
from typing import Any

from flamingo.client.failures import URL_SETTINGS
from flamingo_common import errors
from flamingo_common.errors import FlamingoError

FLAGS = {
    "allow_damaged": "--allow-damaged",
    "max_tokens": "--max-tokens",
    "max_completion_tokens": "--max-tokens",
    "thinking_token_budget": "--thinking-token-budget",
    "timeout_s": "the time limit",
}
"""Parameters whose names are not plain words."""
SWITCHES = {"allow_damaged": "--allow-damaged", "truncate": "--truncate"}
"""Parameters that are true or false, as a message sets them: `set truncate to true`."""
_FLAG = re.compile(rf"(?<![\w-])({'|'.join(FLAGS)})(?![\w-])")
_SET = re.compile(rf"\bset ({'|'.join(SWITCHES)}) to true\b")
_IS_FALSE = re.compile(r"\ballow_damaged is false\b")
_KEY_HEADER = re.compile(r"\bin the header Authorization(?:: Bearer \w+)?")


def in_flags(message: str) -> str:
    """Return a message of a server or of the client on one line, with flags for parameters.

    It goes by the names of what the API has, in whatever sentence: another wording of a server
    leaves at worst the API's name.
    """
    line = " ".join(message.split()).replace(URL_SETTINGS, "--url or FLAMINGO_URL")
    line = _KEY_HEADER.sub("with --api-key or FLAMINGO_API_KEY", line)
    line = _SET.sub(lambda found: f"use {SWITCHES[found[1]]}", line)
    line = _IS_FALSE.sub("--no-allow-damaged is set", line)
    return _FLAG.sub(lambda found: FLAGS[found[1]], line)


def to_json(error: FlamingoError) -> dict[str, Any]:
    """Return OpenAI's error object, with the request ID if a server sent one."""
    described: dict[str, Any] = errors.to_body(error)["error"]
    described = {**described, "message": in_flags(error.message)}
    return {"error": described | ({"request_id": error.request_id} if error.request_id else {})}
