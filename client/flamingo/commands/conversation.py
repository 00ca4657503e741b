"""The conversation of `flamingo chat`: its turns, and what a line of the user is.

Pure.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

COMMANDS = {
    "/tag": "how likely each genre is; /tag mood voice asks about others",
    "/lyrics": "the lyrics, as the recipe asks for them",
    "/help": "list these commands",
    "/new": "forget the conversation, and keep the clip",
    "/quit": "end, as Ctrl-D does",
}
WITH_WORDS = {"/tag"}
EXIT = "/exit"
"""Another name of /quit, for the fingers."""


@dataclass(frozen=True)
class Question:
    """A line that the model answers."""

    text: str


@dataclass(frozen=True)
class ChatCommand:
    """A line that is one of `COMMANDS`."""

    name: str
    words: tuple[str, ...] = ()
    """What follows the name."""


@dataclass(frozen=True)
class UnknownCommand:
    """A line that begins like a command and is none."""

    message: str


def parse(line: str) -> Question | ChatCommand | UnknownCommand | None:
    """Return what a line is; None if it is blank. A question can begin with // instead of /."""
    text = line.strip()
    if not text:
        return None
    if text.startswith("//"):
        return Question(text[1:])
    if not text.startswith("/"):
        return Question(text)
    if text == EXIT:
        return ChatCommand("/quit")
    name, *words = text.split()
    if text in COMMANDS or name in WITH_WORDS:
        return ChatCommand(name, tuple(words))
    close = difflib.get_close_matches(text, COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
    return UnknownCommand(f"{text}: no such command; {hint}")


class Conversation:
    """The turns that are sent with each question."""

    def __init__(self, system: str | None = None) -> None:
        first = [] if system is None else [{"role": "system", "content": system}]
        self._first: Sequence[dict[str, str]] = first
        self._turns: list[dict[str, str]] = []

    def with_question(self, question: str) -> list[dict[str, str]]:
        """Return the messages that ask a question."""
        return [*self._first, *self._turns, {"role": "user", "content": question}]

    def keep(self, question: str, answer: str) -> None:
        """Add a turn; one without an answer is as if it was not asked."""
        if answer:
            self._turns += [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]

    def forget(self) -> None:
        """Begin anew."""
        self._turns.clear()
