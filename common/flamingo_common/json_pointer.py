"""JSON Pointers (RFC 6901), which name a value of a JSON text.

Pure.
"""


def child(pointer: str, key: str | int) -> str:
    """Return the pointer to a member or an item of the value at a pointer."""
    escaped = str(key).replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{escaped}"
