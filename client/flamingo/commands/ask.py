"""`flamingo ask`: questions about a clip."""

from typing import Annotated

import typer

from flamingo.client import FlamingoClient, address, fields
from flamingo.client.fields import SamplingOptions
from flamingo.commands import options
from flamingo.commands.display import output
from flamingo.commands.files import clips

Questions = Annotated[
    list[str],
    typer.Argument(metavar="QUESTION…", help="The questions, each quoted for the shell."),
]


def ask(  # noqa: PLR0913 - a command's parameters are its options
    file: options.OneClip,
    questions: Questions,
    *,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    thinking_token_budget: options.ThinkingTokenBudget = None,
    show_reasoning: options.ShowReasoning = False,
    start: options.Start = None,
    end: options.End = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
    no_stream: options.NoStream = False,
) -> None:
    """Ask questions about an audio clip.

    The answers are printed as they are generated. The clip is sent once, whatever the number of
    questions.
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
    is_several = len(questions) > 1
    audio = clips.open_reusable(file) if is_several else clips.open_argument(file)
    name = clips.display_name(file)
    with FlamingoClient(url, api_key=api_key) as client:
        for number, question in enumerate(questions):
            if is_several and not as_json:
                output.print_heading(question, is_first=number == 0)
            if not (as_json or no_stream):
                messages = fields.question_messages(question, system=None)
                stream = client.stream_chat(messages, audio=audio, **sampling)
                output.print_stream(stream, clip=name, has_reasoning=show_reasoning)
                continue
            with output.spinner(f"processing {name}"):
                reply = client.ask(audio, question, **sampling)
            if as_json:
                output.print_json(reply, file=clips.json_name(file), question=question)
            else:
                output.print_reasoning(reply.reasoning if show_reasoning else "")
                output.print_text(reply.text, reply.finish_reason, reply.usage, clip=name)
