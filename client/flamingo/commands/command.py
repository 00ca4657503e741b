"""What all commands have in common: usage errors in plain words, and errors as JSON with `--json`.

With `--json`, a command that fails prints OpenAI's error object on standard output. The line on
standard error and the exit status stay the same.
"""

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand

from flamingo.commands.display import error_texts, output, usage_texts
from flamingo.commands.files import clips
from flamingo_common.errors import FlamingoError


class Command(TyperCommand):
    """A command of `flamingo`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; an error names what is allowed."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = usage_texts.plain(error.message)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print the error that ends it as JSON, too."""
        try:
            return super().invoke(ctx)
        except FlamingoError as error:
            if ctx.params.get("as_json"):
                output.print_json_value(_clip_of(ctx.params) | error_texts.to_json(error))
            raise


def _clip_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the clip that a command is about, if it is one."""
    named = arguments.get("files") or [arguments.get("file")]
    is_one_clip = len(named) == 1 and isinstance(named[0], str)
    return {"file": clips.json_name(named[0])} if is_one_clip else {}
