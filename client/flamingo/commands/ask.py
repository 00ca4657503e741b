"""`flamingo ask`: a question about a clip."""

from typing import Annotated

import typer

from flamingo.client import FlamingoClient, address, fields
from flamingo.client.fields import Sampling
from flamingo.commands import clips, options, output

Question = Annotated[
    str, typer.Argument(metavar="QUESTION", help="What to answer; quote it for the shell.")
]


def ask(  # noqa: PLR0913 - a command's parameters are its options
    file: options.OneClip,
    question: Question,
    *,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    truncate: options.Truncate = False,
    url: options.Url = address.DEFAULT,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
    no_stream: options.NoStream = False,
) -> None:
    """Answer a question about a piece of music."""
    sampling: Sampling = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "truncate": truncate or None,
    }
    audio, about = clips.audio(file), f"listening to {clips.title(file)}"
    with FlamingoClient(url, api_key=api_key) as client:
        if not (as_json or no_stream):
            messages = fields.question(question, system=None)
            output.words(client.stream_chat(messages, audio=audio, **sampling), about=about)
            return
        with output.waiting(about):
            reply = client.ask(audio, question, **sampling)
    if as_json:
        output.answer(reply, file=file)
    else:
        output.whole(reply.text, reply.finish_reason, reply.usage)
