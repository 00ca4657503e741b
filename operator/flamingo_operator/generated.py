"""Write a generated file, as `python -m flamingo_operator.crd [FILE]` does."""

import sys
from pathlib import Path


def write_file(file: Path, text: str) -> int:
    """Write `text` to the file that the command line names, else to `file`; return 0, or 1."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else file
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"cannot write {target}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0
