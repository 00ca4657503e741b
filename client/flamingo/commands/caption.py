"""`flamingo caption`: descriptions of clips."""

from dataclasses import dataclass
from typing import Annotated

import typer

from flamingo.client import CannotConnect, FlamingoClient, address
from flamingo.client.fields import SamplingOptions
from flamingo.commands import clips, options, output
from flamingo_common.errors import FlamingoError
from flamingo_common.wire.requests import Style

StyleOption = Annotated[
    Style,
    typer.Option("--style", help="Built-in prompt to use.", rich_help_panel=options.GENERATION),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        help="Custom prompt, instead of a style's.",
        rich_help_panel=options.GENERATION,
    ),
]


@dataclass(frozen=True)
class CaptionOptions:
    """What to request for each clip, and how to print it."""

    style: Style
    prompt: str | None
    sampling: SamplingOptions
    as_json: bool
    stream: bool


def caption(  # noqa: PLR0913 - a command's parameters are its options
    files: options.ClipList,
    *,
    style: StyleOption = "detailed",
    prompt: Prompt = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    truncate: options.Truncate = False,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
    no_stream: options.NoStream = False,
) -> None:
    """Describe audio clips in words.

    Captions are printed as they are generated. If one of several clips fails,
    the error is printed, the other clips are still captioned, and the exit
    status is 1.
    """
    sampling: SamplingOptions = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "truncate": truncate or None,
    }
    chosen = CaptionOptions(style, prompt, sampling, as_json=as_json, stream=not no_stream)
    with FlamingoClient(url, api_key=api_key) as client:
        if len(files) == 1:
            _caption_clip(client, files[0], chosen)
        elif _caption_clips(client, files, chosen):
            raise typer.Exit(1)


def _caption_clips(client: FlamingoClient, files: list[str], chosen: CaptionOptions) -> int:
    """Caption several clips; return the number of clips that failed."""
    num_failed = 0
    for number, clip in enumerate(files):
        if not chosen.as_json:
            output.print_heading(clip, is_first=number == 0)
        try:
            _caption_clip(client, clip, chosen)
        except CannotConnect:
            raise  # the remaining clips would fail in the same way
        except FlamingoError as error:
            output.print_error(error, clip=clip)
            num_failed += 1
    return num_failed


def _caption_clip(client: FlamingoClient, clip: str, chosen: CaptionOptions) -> None:
    audio, status = clips.open_argument(clip), f"processing {clips.display_name(clip)}"
    style, prompt, sampling = chosen.style, chosen.prompt, chosen.sampling
    if chosen.stream and not chosen.as_json:
        stream = client.stream_caption(audio, style=style, prompt=prompt, **sampling)
        output.print_stream(stream, status=status)
        return
    with output.spinner(status):
        result = client.caption(audio, style=style, prompt=prompt, **sampling)
    if chosen.as_json:
        output.print_json(result, file=clip)
    else:
        output.print_text(result.caption, result.finish_reason, result.usage)
