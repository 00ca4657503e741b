"""Reads the YAML files of users: taxonomies, calibrations, recipes and questions."""

from pathlib import Path

import yaml

from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

MAX_FILE_BYTES = 2**20


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
        document: object = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeError, RecursionError, ValueError) as error:
        reason = printable.escape_line(" ".join(str(error).split()))
        shown = printable.escape_line(str(path))
        raise BadRequest(f"{shown} is not YAML: {reason}", param=what) from None
    return document
