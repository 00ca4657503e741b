"""The options that several commands share, worded once."""

from typing import Annotated

import typer

FLEET = "Which fleet"
ANSWER = "What the answer is like"

Url = Annotated[
    str,
    typer.Option("--url", envvar="FLAMINGO_URL", help="Its address.", rich_help_panel=FLEET),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="FLAMINGO_API_KEY",
        help="The key it asks for, if it asks for one.",
        show_default=False,
        rich_help_panel=FLEET,
    ),
]
Clips = Annotated[
    list[str],
    typer.Argument(
        metavar="CLIP",
        help="Audio files or http(s) URLs; - is standard input.",
        show_default=False,
    ),
]
OneClip = Annotated[
    str,
    typer.Argument(metavar="CLIP", help="An audio file or http(s) URL; - is standard input."),
]
MaxTokens = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, help="Stop after so many tokens.", rich_help_panel=ANSWER),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0,
        max=2,
        help="0 always takes the likeliest word.",
        rich_help_panel=ANSWER,
    ),
]
Truncate = Annotated[
    bool,
    typer.Option(
        "--truncate",
        help="Of a clip that is too long, hear the beginning.",
        rich_help_panel=ANSWER,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the server's whole answer as JSON.")]
NoStream = Annotated[
    bool, typer.Option("--no-stream", help="Print the answer when it is complete.")
]
