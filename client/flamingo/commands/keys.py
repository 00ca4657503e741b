"""`flamingo keys`: API keys for a fleet."""

import json
import secrets
import sys
from typing import Annotated

import typer

from flamingo_common.service import keys

KEY_BYTES = 32

app = typer.Typer(name="keys", help="Make API keys for a fleet.", no_args_is_help=True)
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Whose key it is: letters, digits, . _ and -.")
]


@app.callback()
def _keys() -> None:
    """Make API keys for a fleet."""


@app.command()
def new(name: Name) -> None:
    """Make a key: the key itself goes to standard error, its entry to standard output.

    flamingo keys new alice >> keys.yaml      # whose first line is: keys:

    Nobody can find the key again: the file holds its hash.
    """
    key = keys.PREFIX + secrets.token_urlsafe(KEY_BYTES)
    try:
        entry = keys.Key(name=name, sha256=keys.digest_of(key))
    except ValueError:
        raise typer.BadParameter(
            "a name is up to 63 letters, digits, . _ and -", param_hint="NAME"
        ) from None
    print(f"The key of {name}, shown this once:\n{key}", file=sys.stderr)
    # Quoted: YAML would take a name like 007 or `no` for something else.
    print(f"- name: {json.dumps(entry.name)}\n  sha256: {json.dumps(entry.sha256)}")
