"""`flamingo caption`: descriptions of clips."""

from dataclasses import dataclass
from typing import Annotated

import typer

from flamingo.client import CannotConnect, FlamingoClient, address
from flamingo.client.failures import ConnectionClosed
from flamingo.client.fields import SamplingOptions
from flamingo.commands import clips, options, output
from flamingo_common.errors import FlamingoError
from flamingo_common.wire.requests import Style
from flamingo_common.wire.responses import Caption

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


Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        "-j",
        min=1,
        max=4096,
        help="Most clips in flight; captions of several are printed in order of completion.",
    ),
]
MAX_OUTAGE_S = 30.0
"""With -j: how long to wait for a fleet that accepts nothing."""


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
    concurrency: Concurrency = 1,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
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
        "allow_damaged": allow_damaged,
    }
    chosen = CaptionOptions(style, prompt, sampling, as_json=as_json, stream=not no_stream)
    with FlamingoClient(url, api_key=api_key) as client:
        if len(files) == 1:
            _caption_clip(client, files[0], chosen)
            return
        if concurrency == 1:
            num_failed = _caption_clips(client, files, chosen)
        else:
            num_failed = _caption_concurrently(client, files, chosen, concurrency)
        if num_failed:
            raise typer.Exit(1)


def _caption_clips(client: FlamingoClient, files: list[str], chosen: CaptionOptions) -> int:
    """Caption several clips; return the number of clips that failed."""
    num_failed = 0
    for number, clip in enumerate(files):
        if not chosen.as_json:
            output.print_heading(clip, is_first=number == 0)
        try:
            _caption_clip(client, clip, chosen)
        except FlamingoError as error:
            if isinstance(error, CannotConnect) and not isinstance(error, ConnectionClosed):
                raise  # the remaining clips would fail in the same way
            output.print_error(error, clip=clip)
            num_failed += 1
    return num_failed


def _caption_concurrently(
    client: FlamingoClient, files: list[str], chosen: CaptionOptions, concurrency: int
) -> int:
    """Caption several clips at once; return the number of clips that failed."""
    if "-" in files:
        raise typer.BadParameter("standard input is read only without it", param_hint="-j")
    num_printed = num_failed = 0
    batch = client.batch_caption(
        files,
        style=chosen.style,
        prompt=chosen.prompt,
        concurrency=concurrency,
        priority="normal",
        max_outage_s=MAX_OUTAGE_S,
        **chosen.sampling,
    )
    with batch:
        for clip, result in batch:
            if isinstance(result, FlamingoError):
                output.print_error(result, clip=clip)
                num_failed += 1
                continue
            if not chosen.as_json:
                output.print_heading(clip, is_first=num_printed == 0)
            _print_caption(clip, result, chosen)
            num_printed += 1
    return num_failed


def _caption_clip(client: FlamingoClient, clip: str, chosen: CaptionOptions) -> None:
    audio, name = clips.open_argument(clip), clips.display_name(clip)
    style, prompt, sampling = chosen.style, chosen.prompt, chosen.sampling
    if chosen.stream and not chosen.as_json:
        stream = client.stream_caption(audio, style=style, prompt=prompt, **sampling)
        output.print_stream(stream, clip=name)
        return
    with output.spinner(f"processing {name}"):
        result = client.caption(audio, style=style, prompt=prompt, **sampling)
    _print_caption(clip, result, chosen)


def _print_caption(clip: str, result: Caption, chosen: CaptionOptions) -> None:
    if chosen.as_json:
        output.print_json(result, file=clips.json_name(clip))
        return
    name = clips.display_name(clip)
    output.print_text(result.caption, result.finish_reason, result.usage, clip=name)
