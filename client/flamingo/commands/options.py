"""The options and arguments that several commands share, with their environment variables."""

import math
from pathlib import Path
from typing import Annotated

import typer

from flamingo.client import address, environment
from flamingo_common import numerals
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

CONNECTION = "Connection"
GENERATION = "Generation"
MAX_TIME_PARTS = 3
"""Hours, minutes and seconds."""


def _check_url(url: str) -> str:
    try:
        address.parse_base_url(url)
    except BadRequest as error:
        raise typer.BadParameter(printable.escape_line(error.message)) from None
    return url


def _clean_key(key: str | None) -> str | None:
    try:
        return environment.clean_key(key, source="API key") if key else None
    except BadRequest as error:
        raise typer.BadParameter(error.message) from None


Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar=environment.URL_VARIABLE,
        callback=_check_url,
        help="URL of the fleet's router, or of a pod.",
        rich_help_panel=CONNECTION,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar=environment.KEY_VARIABLE,
        callback=_clean_key,
        help="API key, if the fleet requires one.",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]
ClipList = Annotated[
    list[str],
    typer.Argument(
        metavar="CLIP",
        help="Audio files or http(s) URLs; - reads standard input.",
        show_default=False,
    ),
]
OneClip = Annotated[
    str,
    typer.Argument(metavar="CLIP", help="Audio file or http(s) URL; - reads standard input."),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        "-j",
        min=1,
        max=4096,
        help="Most clips in flight; by default as many as the fleet accepts, up to 64.",
        show_default=False,
    ),
]
OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        file_okay=False,
        help="Save a file for each clip here, and leave out clips whose file is there.",
        show_default=False,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        min=1,
        help="Maximum number of tokens to generate.",
        rich_help_panel=GENERATION,
    ),
]
ThinkingTokenBudget = Annotated[
    int | None,
    typer.Option(
        "--thinking-token-budget",
        min=-1,
        help="Maximum number of tokens of reasoning, of a model that thinks before it answers: 0"
        " for none, -1 for any number.",
        rich_help_panel=GENERATION,
    ),
]
ShowReasoning = Annotated[
    bool,
    typer.Option(
        "--show-reasoning",
        help="Print what the model thinks before it answers, to standard error.",
        rich_help_panel=GENERATION,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0,
        max=2,
        help="Sampling temperature; 0 is greedy.",
        rich_help_panel=GENERATION,
    ),
]


def _parse_time(text: str) -> float:
    """Return the seconds in `90`, `90.5`, `1:30` or `1:02:30`."""
    parts = text.split(":")
    numbers = [one for one in map(numerals.number, parts) if one is not None]
    is_valid = len(parts) == len(numbers) <= MAX_TIME_PARTS and all(
        0 <= number < (math.inf if at == 0 else 60) for at, number in enumerate(numbers)
    )
    if not is_valid:
        raise typer.BadParameter(f"{text!r} is not a time: seconds, or as in 1:30")
    seconds = 0.0
    for number in numbers:
        seconds = 60 * seconds + number
    return seconds


Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        parser=_parse_time,
        metavar="TIME",
        help="Use the part of the clip that begins here: seconds, or as in 1:30.",
        show_default=False,
        rich_help_panel=GENERATION,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        parser=_parse_time,
        metavar="TIME",
        help="Where that part ends: seconds, or as in 1:30.",
        show_default=False,
        rich_help_panel=GENERATION,
    ),
]
Truncate = Annotated[
    bool,
    typer.Option(
        "--truncate",
        help="Process the beginning of a clip that exceeds the model's limit, instead of failing.",
        rich_help_panel=GENERATION,
    ),
]
Measure = Annotated[
    bool,
    typer.Option(
        "--measure", help="Measure tempo, beats, key and loudness, beside what the model says."
    ),
]
AllowDamaged = Annotated[
    bool | None,
    typer.Option(
        "--allow-damaged/--no-allow-damaged",
        help="Process a damaged or incomplete file whatever is missing, or only if nothing is;"
        " by default up to a twentieth.",
        show_default=False,
        rich_help_panel=GENERATION,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the full response as JSON.")]
NoStream = Annotated[
    bool, typer.Option("--no-stream", help="Wait for the complete response before printing it.")
]
