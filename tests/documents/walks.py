"""A page's commands, done one after the other, with what happens in between that no reader does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from documents.blocks import Command
from documents.terminal import Terminal


@dataclass(frozen=True)
class Event:
    """What happens before a command without the reader: a device fails, a deadline passes."""

    heading: str
    begins: str
    """The beginning of the command."""
    happen: Callable[[], object]

    def precedes(self, command: Command) -> bool:
        return self.heading in command.headings and command.text.startswith(self.begins)


def follow(commands: Iterable[Command], terminal: Terminal, events: Iterable[Event] = ()) -> None:
    """Do what the page says, in its order; each event happens once, before its command."""
    left = [*events]
    for command in commands:
        for event in [one for one in left if one.precedes(command)]:
            event.happen()
            left.remove(event)
        terminal.follow(command)
    assert not left, f"no such command in the page: {left}"
