"""Shell completion: the script for a shell, and what may follow on a command line."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from flamingo_operator.plugin import completion as completions
from flamingo_operator.plugin import shell_scripts
from flamingo_operator.plugin.cluster import Cluster, PluginError, connect, context_names
from flamingo_operator.plugin.command_words import CommandWords
from flamingo_operator.plugin.completion import FILES, NO_FILES, Candidate, Source

TIMEOUT_S = 3.0
"""A shell waits for the candidates."""


class Shell(StrEnum):
    """A shell with a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the completion script of the executable kubectl-flamingo for a shell.

    `kubectl flamingo` needs no script: the completion of kubectl itself finds the executable
    kubectl_complete-flamingo on the PATH.
    """
    typer.echo(shell_scripts.SCRIPTS[shell], nl=False)


def print_candidates(commands: Iterable[CommandWords], words: Sequence[str]) -> None:
    """Print what may take the place of the last of `words`, as cobra's protocol demands."""
    found = completions.complete(commands, words)
    last = words[-1] if words else ""
    for candidate in (*found.candidates, *_from_source(found.source, found.prefix, words)):
        if candidate.word.startswith(last):
            typer.echo(str(candidate))
    typer.echo(f":{FILES if found.source is Source.FILES else NO_FILES}")


def _from_source(source: Source, prefix: str, words: Sequence[str]) -> Iterator[Candidate]:
    if source is Source.CONTEXTS:
        names = context_names(_option(words, "--kubeconfig"))
        yield from (Candidate(f"{prefix}{one}") for one in names)
    listing = LISTINGS.get(source)
    if listing is None:
        return
    try:
        namespace = _option(words, "--namespace") or _option(words, "-n")
        cluster = connect(_option(words, "--kubeconfig"), _option(words, "--context"), namespace)
        found = listing(cluster.with_timeout(TIMEOUT_S))
    except PluginError:
        return
    yield from (Candidate(f"{prefix}{one['metadata']['name']}") for one in found)


def _option(words: Sequence[str], name: str) -> str | None:
    """Return the value of an option on the line, before the last word."""
    before = words[:-1]
    for index, word in enumerate(before):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and index + 1 < len(before):
            return before[index + 1]
    return None


LISTINGS: dict[Source, Callable[[Cluster], Sequence[Any]]] = {
    Source.DEPLOYMENTS: Cluster.list_deployments,
    Source.SERVER_PODS: Cluster.list_all_server_pods,
    Source.NAMESPACES: Cluster.list_namespaces,
}
