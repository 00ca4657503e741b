"""`flamingo ask`: a question about a clip."""

from typing import Annotated

import typer

from flamingo.client import FlamingoClient, address, fields
from flamingo.client.fields import SamplingOptions
from flamingo.commands import clips, options, output

Question = Annotated[
    str, typer.Argument(metavar="QUESTION", help="The question, quoted for the shell.")
]


def ask(  # noqa: PLR0913 - a command's parameters are its options
    file: options.OneClip,
    question: Question,
    *,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
    no_stream: options.NoStream = False,
) -> None:
    """Ask a question about an audio clip.

    The answer is printed as it is generated.
    """
    sampling: SamplingOptions = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "truncate": truncate or None,
        "allow_damaged": allow_damaged,
    }
    audio, name = clips.open_argument(file), clips.display_name(file)
    with FlamingoClient(url, api_key=api_key) as client:
        if not (as_json or no_stream):
            messages = fields.question_messages(question, system=None)
            stream = client.stream_chat(messages, audio=audio, **sampling)
            output.print_stream(stream, clip=name)
            return
        with output.spinner(f"processing {name}"):
            reply = client.ask(audio, question, **sampling)
    if as_json:
        output.print_json(reply, file=clips.json_name(file))
    else:
        output.print_text(reply.text, reply.finish_reason, reply.usage, clip=name)
