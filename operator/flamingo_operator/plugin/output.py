"""Writes what a command shows: a view for people, or a document for programs."""

import io
import json
import sys
from typing import Any

import typer
import yaml
from rich.console import Console, RenderableType
from rich.text import Text

from flamingo_operator.plugin.options import OutputFormat

UNLIMITED_WIDTH = 1000
"""Columns when the output is not a terminal: nothing is wrapped for a program that reads it."""


def show(what: RenderableType) -> None:
    """Print a view, as wide as the terminal."""
    is_one_line = isinstance(what, Text)
    if sys.stdout.isatty():
        Console(highlight=False, markup=False).print(what, soft_wrap=is_one_line)
        return
    text = io.StringIO()
    console = Console(file=text, width=UNLIMITED_WIDTH, highlight=False, markup=False)
    console.print(what, soft_wrap=is_one_line)
    for line in text.getvalue().splitlines():
        typer.echo(line.rstrip())


def write_document(what: Any, form: OutputFormat) -> None:
    """Print a document as JSON or YAML."""
    if form is OutputFormat.JSON:
        typer.echo(json.dumps(what, indent=2, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(what, sort_keys=False, allow_unicode=True), nl=False)


def warn(message: str) -> None:
    """Print one line on standard error."""
    typer.echo(f"kubectl flamingo: {message}", err=True)
