"""`flamingo caption`: descriptions of clips."""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from flamingo.client import FlamingoClient, address
from flamingo.client.fields import SamplingOptions
from flamingo.client.sync_client import Batch
from flamingo.commands import options
from flamingo.commands.display import output
from flamingo.commands.files import clips, many_clips, saved_results
from flamingo.commands.files.saved_results import Targets
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
    concurrency: options.Concurrency = None,
    out_dir: options.OutDir = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    thinking_token_budget: options.ThinkingTokenBudget = None,
    start: options.Start = None,
    end: options.End = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
    no_stream: options.NoStream = False,
) -> None:
    """Describe audio clips in words.

    The caption of one clip is printed as it is generated. Several clips are
    captioned at once and printed in their order; with --out-dir each caption
    is saved as song.mp3.caption.txt (with --json, .json), and clips whose file
    is there are left out. If some clips fail, the others are still captioned, and
    the exit status is 14.
    """
    sampling: SamplingOptions = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "thinking_token_budget": thinking_token_budget,
        "start": start,
        "end": end,
        "truncate": truncate or None,
        "allow_damaged": allow_damaged,
    }
    chosen = CaptionOptions(style, prompt, sampling, as_json=as_json, stream=not no_stream)
    num_at_once = many_clips.concurrency_of(files, concurrency)
    with FlamingoClient(url, api_key=api_key) as client:
        if out_dir is not None:
            suffix = ".caption.json" if as_json else ".caption.txt"
            targets = saved_results.targets(files, out_dir, suffix)
            num_failed = _save_captions(client, targets, chosen, num_at_once)
        elif len(files) == 1:
            _caption_clip(client, files[0], chosen)
            return
        elif num_at_once == 1:
            one = partial(_caption_clip, client, chosen=chosen)
            num_failed = many_clips.in_turn(files, one, as_json=as_json)
        else:
            num_failed = _caption_at_once(client, files, chosen, num_at_once)
    many_clips.exit_if_failed(num_failed)


def _caption_at_once(
    client: FlamingoClient, files: list[str], chosen: CaptionOptions, concurrency: int
) -> int:
    """Caption several clips at once; return the number of clips that failed."""
    batch = _batch(client, files, chosen, concurrency)
    results = many_clips.results(batch, files, title="caption")
    num_printed = itertools.count()

    def show(clip: str, result: Caption) -> None:
        if not chosen.as_json:
            output.print_heading(clip, is_first=next(num_printed) == 0)
        _print_caption(clip, result, chosen)

    return many_clips.handle(results, show, as_json=chosen.as_json)


def _save_captions(
    client: FlamingoClient, targets: Targets, chosen: CaptionOptions, concurrency: int
) -> int:
    """Save the captions that are not there yet; return the number of clips that failed."""

    def save(clip: str, result: Caption) -> None:
        saved_results.save_caption(clip, result, targets.files[clip], as_json=chosen.as_json)

    def start(missing: list[str]) -> Batch[Caption]:
        return _batch(client, missing, chosen, concurrency)

    return many_clips.save_missing(targets, start, save, title="caption", as_json=chosen.as_json)


def _batch(
    client: FlamingoClient, files: list[str], chosen: CaptionOptions, concurrency: int
) -> Batch[Caption]:
    many_clips.check_fleet(client)
    return client.batch_caption(
        many_clips.Arguments(files),
        style=chosen.style,
        prompt=chosen.prompt,
        concurrency=concurrency,
        **many_clips.RUN_OPTIONS,
        **chosen.sampling,
    )


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
