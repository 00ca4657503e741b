"""Glob patterns, for folders and buckets alike.

Pure.
"""

import re

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_SIMPLE = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return what matches the names that a pattern does.

    `*` and `?` match within one folder, `**/` any number of folders, `[a-c]` one of several
    characters and `[!a-c]` none of them.
    """
    parts = (_part(match[0]) for match in _TOKEN.finditer(pattern))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _part(token: str) -> str:
    if token in _SIMPLE:
        return _SIMPLE[token]
    if len(token) > 1:  # [a-c]
        characters = token[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
        if characters.startswith("!"):
            return f"[^/{characters[1:]}]"
        return f"[{characters}]"
    return re.escape(token)
