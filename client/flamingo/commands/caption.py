"""`flamingo caption`: clips in words."""

from dataclasses import dataclass
from typing import Annotated

import typer

from flamingo.client import CannotConnect, FlamingoClient, address
from flamingo.client.fields import Sampling
from flamingo.commands import clips, options, output
from flamingo_common.errors import FlamingoError
from flamingo_common.wire.requests import Style

StyleOption = Annotated[
    Style, typer.Option("--style", help="How to say it.", rich_help_panel=options.ANSWER)
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt", help="Your own words instead of a style's.", rich_help_panel=options.ANSWER
    ),
]


@dataclass(frozen=True)
class Wish:
    """What is asked of every clip."""

    style: Style
    prompt: str | None
    sampling: Sampling
    as_json: bool
    streams: bool


def caption(  # noqa: PLR0913 - a command's parameters are its options
    files: options.Clips,
    *,
    style: StyleOption = "detailed",
    prompt: Prompt = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    truncate: options.Truncate = False,
    url: options.Url = address.DEFAULT,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
    no_stream: options.NoStream = False,
) -> None:
    """Say what music is like.

    The words appear as they come. Several clips are answered in turn; one that
    fails does not stop the others.
    """
    sampling: Sampling = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "truncate": truncate or None,
    }
    wish = Wish(style, prompt, sampling, as_json=as_json, streams=not no_stream)
    with FlamingoClient(url, api_key=api_key) as client:
        if len(files) == 1:
            _answer(client, files[0], wish)
        elif not _are_answered(client, files, wish):
            raise typer.Exit(1)


def _are_answered(client: FlamingoClient, files: list[str], wish: Wish) -> bool:
    """Answer each of several clips; return whether all could be."""
    num_failed = 0
    for number, clip in enumerate(files):
        if not wish.as_json:
            output.heading(clip, is_first=number == 0)
        try:
            _answer(client, clip, wish)
        except CannotConnect:
            raise  # nor would the others get through
        except FlamingoError as error:
            output.failure(error, about=clip)
            num_failed += 1
    return num_failed == 0


def _answer(client: FlamingoClient, clip: str, wish: Wish) -> None:
    audio, about = clips.audio(clip), f"listening to {clips.title(clip)}"
    if wish.streams and not wish.as_json:
        stream = client.stream_caption(audio, style=wish.style, prompt=wish.prompt, **wish.sampling)
        output.words(stream, about=about)
        return
    with output.waiting(about):
        told = client.caption(audio, style=wish.style, prompt=wish.prompt, **wish.sampling)
    if wish.as_json:
        output.answer(told, file=clip)
    else:
        output.whole(told.caption, told.finish_reason, told.usage)
