"""`flamingo keys`: API keys for a fleet."""

import json
import secrets
import sys
from typing import Annotated

import typer

from flamingo.commands.command import Command
from flamingo_common.service import keys

KEY_BYTES = 32

app = typer.Typer(name="keys", help="Create API keys for a fleet.", no_args_is_help=True)
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Owner of the key: up to 63 letters, digits, dots, _ and -."
    ),
]
May = Annotated[
    keys.Permission,
    typer.Option("--may", help="infer: use the model; observe: read /stats, /fleet, /metrics."),
]


@app.callback()
def _keys() -> None:
    """Create API keys for a fleet."""


@app.command(cls=Command)
def new(name: Name, may: May = "infer") -> None:
    """Create an API key.

    The key is printed to standard error, and its entry for the key file
    (--key-file) to standard output:

    flamingo keys new alice >> keys.yaml      # the file's first line is: keys:

    A router in front of pods with keys needs one of its own:

    flamingo keys new router --may observe >> keys.yaml

    The file stores only a hash: a lost key cannot be recovered.
    """
    key = keys.PREFIX + secrets.token_urlsafe(KEY_BYTES)
    try:
        entry = keys.Key(name=name, sha256=keys.digest_of(key))
    except ValueError:
        raise typer.BadParameter(
            "a name must have 1 to 63 characters: letters, digits, '.', '_' and '-'",
            param_hint="NAME",
        ) from None
    print(f"API key of {name}; it will not be shown again:\n{key}", file=sys.stderr)
    # Quoted: YAML would read a name like 007 or `no` as a number or a boolean.
    print(f"- name: {json.dumps(entry.name)}\n  sha256: {json.dumps(entry.sha256)}")
    if may != "infer":
        print(f"  may: [{may}]")
