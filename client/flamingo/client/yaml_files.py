"""Reads the YAML files of users: taxonomies, calibrations, recipes and questions."""

import contextlib
import json
import math
from pathlib import Path

import yaml

from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

MAX_FILE_BYTES = 2**20
MAX_VALUES = 1_000_000
"""In one file, whose aliases could stand for any number of them."""


def read_bytes(path: Path, *, what: str) -> bytes:
    """Return the contents of a file; `what` it should be is named in errors.

    Raises:
        BadRequest: it cannot be read, or is larger than 1 MiB.
    """
    shown = printable.escape_line(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadRequest(f"cannot read the {what} {shown}: {reason}", param=what) from None
    if len(content) > MAX_FILE_BYTES:
        raise BadRequest(f"{shown} is larger than {MAX_FILE_BYTES} bytes, the maximum", param=what)
    return content


def read(path: Path, *, what: str) -> object:
    """Return what is in a YAML file, which may be JSON; `what` it should be is named in errors.

    Raises:
        BadRequest: it cannot be read, is larger than 1 MiB, or is not YAML.
    """
    content = read_bytes(path, what=what)
    try:
        document: object = _parse(content)
    except (yaml.YAMLError, UnicodeError, RecursionError, ValueError) as error:
        reason = printable.escape_line(" ".join(str(error).split()))
        shown = printable.escape_line(str(path))
        raise BadRequest(f"{shown} is not YAML: {reason}", param=what) from None
    if _num_values(document, {}) > MAX_VALUES:
        shown = printable.escape_line(str(path))
        raise BadRequest(
            f"{shown}: its aliases stand for more than {MAX_VALUES:,} values, or for themselves",
            param=what,
        )
    return document


def _parse(content: bytes) -> object:
    # JSON by its own reader: YAML's has other escapes, and reads 1e-07 as a string.
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(content)
    return yaml.safe_load(content)


def _num_values(value: object, known: dict[int, float]) -> float:
    """Return how many values there are if aliases are written out; infinite if they never end."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf  # until it is counted: only itself can be met before that
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_num_values(each, known) for each in parts)
    return known[id(value)]
