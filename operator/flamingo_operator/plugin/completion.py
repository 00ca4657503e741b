"""What may follow on a command line, in the terms of cobra's protocol, which kubectl speaks.

kubectl runs the executable `kubectl_complete-flamingo` with the words of the line, of which the
last is to be completed. It prints one candidate a line, with a description after a tab, and at
last a directive.

Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from flamingo_operator.plugin.command_words import CommandWords, ParameterWords

NO_FILES, FILES = 4, 0
"""Directives: whether the shell completes names of files."""


class Source(Enum):
    """Where the candidates of an argument come from."""

    NOTHING = "nothing"
    FILES = "files"
    DEPLOYMENTS = "deployments"
    SERVER_PODS = "server pods"
    NAMESPACES = "namespaces"
    CONTEXTS = "contexts"


SOURCES = {
    "name": Source.DEPLOYMENTS,
    "pod": Source.SERVER_PODS,
    "namespace": Source.NAMESPACES,
    "context": Source.CONTEXTS,
    "kubeconfig": Source.FILES,
    "file": Source.FILES,
    "filename": Source.FILES,
}
"""By the name of a command's parameter."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that may follow."""

    word: str
    description: str = ""

    def __str__(self) -> str:
        return f"{self.word}\t{self.description}" if self.description else self.word


@dataclass(frozen=True, slots=True)
class Completion:
    """What may follow: known words, or those of a source in the cluster."""

    candidates: tuple[Candidate, ...] = ()
    source: Source = Source.NOTHING
    prefix: str = ""
    """What precedes each candidate of the source, such as --namespace=."""


def complete(commands: Iterable[CommandWords], words: Sequence[str]) -> Completion:
    """Return what may take the place of the last of `words`."""
    *before, last = words or [""]
    by_name = {one.name: one for one in commands}
    command = by_name.get(before[0]) if before else None
    if command is None:
        found = [Candidate(one.name, one.description) for one in by_name.values()]
        return _matching(found, last) if not before else Completion()
    if last.startswith("--") and "=" in last:
        flag = last.partition("=")[0]
        return _values(command.option(flag), f"{flag}=", last)
    pending = command.option(before[-1])
    if pending is not None and not pending.is_switch:
        return _values(pending, "", last)
    if last.startswith("-"):
        options = (Candidate(max(one.flags, key=len), one.description) for one in command.options)
        return _matching(options, last)
    number = _num_arguments(command, before[1:])
    arguments = command.arguments
    return _values(arguments[number], "", last) if number < len(arguments) else Completion()


def _num_arguments(command: CommandWords, words: Sequence[str]) -> int:
    """Return how many arguments are given already; a value of an option is none."""
    num, is_value = 0, False
    for word in words:
        num += not word.startswith("-") and not is_value
        option = command.option(word)
        is_value = option is not None and not option.is_switch
    return num


def _values(parameter: ParameterWords | None, prefix: str, last: str) -> Completion:
    if parameter is None:
        return Completion()
    if parameter.choices:
        return _matching([Candidate(f"{prefix}{word}") for word in parameter.choices], last)
    return Completion(source=SOURCES.get(parameter.name, Source.NOTHING), prefix=prefix)


def _matching(found: Iterable[Candidate], last: str) -> Completion:
    return Completion(tuple(one for one in found if one.word.startswith(last)))
