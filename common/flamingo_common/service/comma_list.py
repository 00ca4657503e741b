"""Comma-separated lists, as in flags, environment variables and annotations.

Pure.
"""


def split_commas(text: str) -> tuple[str, ...]:
    """Return the items of a comma-separated list, without blanks around them or empty items."""
    return tuple(item for part in text.split(",") if (item := part.strip()))
