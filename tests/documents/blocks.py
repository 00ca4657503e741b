"""What a Markdown page tells its readers to run: its fenced blocks and the commands in them.

Reads text and returns values; it opens no file.

- A block `sh` (or `bash`, `shell`) is commands, one after the other.
- A block with lines that begin with `$ ` is a terminal: the commands, and what each prints.
- A block `yaml`, `python`, `js`, `lua` or `toml` is one thing that readers use as a whole.
- Every other block (a diagram, JSON of a response, an output alone) is only to be read.

Words after the language belong to the tests: a name with a dot is the file that readers write the
block to (```` ```yaml music.yaml ````), anything else says how a test takes it.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

SHELLS = {"sh", "bash", "shell"}
WHOLE = {"yaml", "python", "js", "lua", "toml"}
PROMPT = "$ "
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w+-]*) *(?P<info>.*)$")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$")
HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
CONTINUES = re.compile(r"(\\|\||&&|\|\|)$")


@dataclass(frozen=True)
class Command:
    """One thing to run."""

    page: str
    line: int
    """Of the page, from 1."""
    language: str
    """`sh`, or the language of a block that is one command."""
    info: str
    headings: tuple[str, ...]
    text: str
    """Without the comment after it."""
    output: tuple[str, ...] | None = None
    """The lines that the page shows after it, or None if it shows none."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file that readers write it to, or nothing."""
        return next((word for word in self.info.split() if "." in word), "")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    """Of the opening fence."""
    language: str
    info: str
    headings: tuple[str, ...]
    """Those that it is under, the outermost first."""
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        """What of it is run, in order."""
        lines = self.text.splitlines()
        if any(line.startswith(PROMPT) for line in lines):
            return tuple(self._terminal(lines))
        if self.language in SHELLS:
            return tuple(self._command(at, text) for at, text in _split(lines))
        if self.language in WHOLE:
            return (self._command(0, self.text, language=self.language),)
        return ()

    def _terminal(self, lines: list[str]) -> Iterator[Command]:
        starts = [at for at, line in enumerate(lines) if line.startswith(PROMPT)]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            at = start
            text = lines[at].removeprefix(PROMPT)
            while at + 1 < end and not is_complete(text):
                at += 1
                text += "\n" + lines[at].removeprefix("> ")
            yield self._command(start, _without_comment(text), tuple(lines[at + 1 : end]))

    def _command(
        self, at: int, text: str, output: tuple[str, ...] | None = None, language: str = "sh"
    ) -> Command:
        line = self.line + 1 + at
        return Command(self.page, line, language, self.info, self.headings, text, output)


def blocks(page: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in their order; `page` is its name."""
    headings: list[tuple[int, str]] = []
    opened: re.Match[str] | None = None
    inside: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if opened:
            if line.strip() == opened["fence"]:
                body = textwrap.dedent("\n".join(inside) + "\n")
                titles = tuple(title for _, title in headings)
                yield Block(page, start, opened["language"], opened["info"], titles, body)
                opened = None
            else:
                inside.append(line)
        elif opened := FENCE.match(line):
            start, inside = number, []
        elif heading := HEADING.match(line):
            level = len(heading[1])
            headings = [one for one in headings if one[0] < level] + [(level, heading[2])]
    if opened:
        raise ValueError(f"{page}:{start}: the block is not closed")


def is_complete(text: str) -> bool:
    """Whether a shell would run it, and not wait for another line."""
    rest = _unquoted(text)
    if rest is None or CONTINUES.search(rest.rstrip()):
        return False
    if rest.count("(") > rest.count(")") or rest.count("{") > rest.count("}"):
        return False
    words = re.findall(r"[\w-]+", rest)
    if words.count("do") > words.count("done") or words.count("then") > words.count("fi"):
        return False
    heredoc = HEREDOC.search(text)
    return not heredoc or heredoc[2] in [line.strip() for line in text.splitlines()[1:]]


def _split(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the commands of a script, each with the number of its first line."""
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        start, text = at, lines[at]
        while at + 1 < len(lines) and not is_complete(text):
            at += 1
            text += "\n" + lines[at]
        yield start, _without_comment(text)
        at += 1


def _unquoted(text: str) -> str | None:
    """Return it without quoted parts and comments, or None if a quote is open."""
    kept, quote, at = [], "", 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\" and quote == '"':
                at += 1
            elif char == quote:
                quote = ""
        elif char == "\\":
            kept.append(text[at : at + 2] if at + 2 >= len(text) else "")
            at += 1
        elif char in "'\"":
            quote = char
        elif _begins_comment(text, at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
            continue
        else:
            kept.append(char)
        at += 1
    return None if quote else "".join(kept)


def _begins_comment(text: str, at: int) -> bool:
    return text[at] == "#" and (at == 0 or text[at - 1].isspace())


def _without_comment(text: str) -> str:
    """Return a command without the comment that may end its last line."""
    head, newline, last = text.rpartition("\n")
    for at in range(len(last)):
        if _begins_comment(last, at) and _unquoted(head + newline + last[:at]) is not None:
            return (head + newline + last[:at]).rstrip()
    return text.rstrip()
