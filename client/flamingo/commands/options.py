"""The options and arguments that several commands share, with their environment variables."""

from typing import Annotated

import typer

CONNECTION = "Connection"
GENERATION = "Generation"

Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="FLAMINGO_URL",
        help="URL of the fleet's router, or of a pod.",
        rich_help_panel=CONNECTION,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="FLAMINGO_API_KEY",
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
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        min=1,
        help="Maximum number of tokens to generate.",
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
Truncate = Annotated[
    bool,
    typer.Option(
        "--truncate",
        help="Process the beginning of a clip that exceeds the model's limit, instead of failing.",
        rich_help_panel=GENERATION,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the full response as JSON.")]
NoStream = Annotated[
    bool, typer.Option("--no-stream", help="Wait for the complete response before printing it.")
]
