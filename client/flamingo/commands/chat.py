"""`flamingo chat`: questions about one clip, each with the turns before it."""

import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from flamingo.client import FlamingoClient, address
from flamingo.client.fields import ClipOptions, SamplingOptions
from flamingo.commands import conversation, options
from flamingo.commands.conversation import (
    COMMANDS,
    ChatCommand,
    Conversation,
    Question,
    UnknownCommand,
)
from flamingo.commands.display import output, result_tables
from flamingo.commands.files import clips, many_clips
from flamingo_common.errors import FlamingoError, InvalidAudio
from flamingo_common.service import printable

PROMPT = "> "

System = Annotated[
    str | None,
    typer.Option("--system", help="System message before the conversation.", show_default=False),
]


@dataclass(frozen=True)
class Chat:
    """One conversation about one clip."""

    client: FlamingoClient
    clip: str
    turns: Conversation
    sampling: SamplingOptions
    has_reasoning: bool = False

    def ask(self, question: str) -> None:
        """Print the answer as it is generated, and keep the turn; Ctrl-C ends the answer."""
        messages, shown = self.turns.with_question(question), list[str]()
        stream = self.client.stream_chat(messages, audio=self.clip, **self.sampling)
        try:
            output.print_stream(
                stream,
                clip=clips.display_name(self.clip),
                has_reasoning=self.has_reasoning,
                on_text=shown.append,
            )
        except KeyboardInterrupt:
            print(flush=True)  # the answer until now stays, and the next line begins at its start
        self.turns.keep(question, "".join(shown))

    def tag(self, *names: str) -> None:
        """Print how likely the labels of some taxonomies are: of genre without any."""
        with self._working():
            result = self.client.tag(self.clip, *names, **self._clip_options)
        output.print_table(result_tables.of_tags(result.tags, result_tables.LIKELY))
        output.warn_if_incomplete(None, result.usage, clip=clips.display_name(self.clip))

    def print_lyrics(self) -> None:
        """Print the lyrics as they are generated."""
        stream = self.client.stream_analyze(self.clip, recipes=["lyrics"], **self.sampling)
        output.print_answer(stream, clip=clips.display_name(self.clip))

    def _working(self) -> AbstractContextManager[None]:
        return output.spinner(f"processing {clips.display_name(self.clip)}")

    @property
    def _clip_options(self) -> ClipOptions:
        return {
            "truncate": self.sampling.get("truncate"),
            "allow_damaged": self.sampling.get("allow_damaged"),
        }


def chat(  # noqa: PLR0913 - a command's parameters are its options
    file: Annotated[str, typer.Argument(metavar="CLIP", help="Audio file or http(s) URL.")],
    *,
    system: System = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    thinking_token_budget: options.ThinkingTokenBudget = None,
    show_reasoning: options.ShowReasoning = False,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Talk about an audio clip: a question on each line, with the answers before it.

    The clip is sent once, and again only if the fleet does not hold it any more.
    Ctrl-C ends an answer, Ctrl-D the conversation, and /help lists commands.
    Questions can come from a pipe, too; the first that fails then ends it.
    """
    sampling: SamplingOptions = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "thinking_token_budget": thinking_token_budget,
        "truncate": truncate or None,
        "allow_damaged": allow_damaged,
    }
    _check_clip(file)
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    with FlamingoClient(url, api_key=api_key) as client, _interruptible():
        many_clips.check_fleet(client)
        talk = Chat(client, file, Conversation(system), sampling, show_reasoning)
        if is_terminal:
            output.print_failure(f"{clips.display_name(file)}: ask; /help lists commands")
        for line in _lines(is_terminal=is_terminal):
            if not _take(talk, line, is_terminal=is_terminal):
                return


def _take(talk: Chat, line: str, *, is_terminal: bool) -> bool:
    """Do what a line says; return whether the conversation goes on."""
    match conversation.parse(line):
        case Question(text):
            _answer(lambda: talk.ask(text), is_terminal=is_terminal)
        case ChatCommand("/tag", names):
            _answer(lambda: talk.tag(*names), is_terminal=is_terminal)
        case ChatCommand("/lyrics"):
            _answer(talk.print_lyrics, is_terminal=is_terminal)
        case ChatCommand("/quit"):
            return False
        case ChatCommand("/new"):
            talk.turns.forget()
        case ChatCommand():
            print("\n".join(f"{name:<8} {meaning}" for name, meaning in COMMANDS.items()))
        case UnknownCommand(message):
            output.print_failure(message)
    return True


def _answer(answer: Callable[[], None], *, is_terminal: bool) -> None:
    """Call `answer`; at a terminal, an error is printed and the conversation goes on."""
    try:
        answer()
    except KeyboardInterrupt:
        print(flush=True)
    except FlamingoError as error:
        if not is_terminal:
            raise
        output.print_error(error)


def _check_clip(clip: str) -> None:
    if clip == "-":
        raise typer.BadParameter("standard input has the questions", param_hint="CLIP")
    if not address.is_url(clip) and not Path(clip).exists():
        raise InvalidAudio(
            f"{printable.escape_line(clip)}: no such file or directory", param="file"
        )


def _lines(*, is_terminal: bool) -> Iterator[str]:
    """Yield the lines of the user until Ctrl-D or the end of a file."""
    if not is_terminal:
        yield from sys.stdin or ()
        return
    with contextlib.suppress(ImportError):  # Python can be built without it
        importlib.import_module("readline")  # `input` then has a history and edits the line
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:
            print(file=sys.stderr)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let every Ctrl-C raise KeyboardInterrupt; elsewhere the second one ends the process."""
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is signal.SIG_IGN:  # other threads cannot; a script said so
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
