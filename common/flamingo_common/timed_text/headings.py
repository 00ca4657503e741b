"""Which lines of an answer are headings of sections, such as `[Verse 1]` or `**Intro:**`.

Pure.
"""

import re
from dataclasses import dataclass

from flamingo_common.timed_text.times import DASHES

MAX_NAME_CHARS = 60
MAX_NAME_WORDS = 6
MAX_NESTING = 8
"""Brackets and words that are taken off the ends of a text."""
_PLAIN = (
    r"intro(?:duction)?|verse|(?:pre|post)[- ]?chorus|chorus|refrain|bridge|outro|interlude|coda"
    r"|instrumental(?:\ (?:break|section|interlude))?|(?:[a-z]+\ )?solo"
)
"""Names that mark a heading even alone on a line, without brackets or a colon."""
_ANY = (
    rf"{_PLAIN}|hook|break(?:down)?|build(?:[- ]?up)?|drop|end(?:ing)?|opening|closing|theme|head"
    r"|section|part|exposition|development|recapitulation|vamp|tag|turnaround|riff|transition"
    r"|ad[- ]?libs?|rap|fade(?:[- ](?:in|out))?|middle\ (?:eight|8)|climax|finale|movement|reprise"
    r"|variation|main|spoken(?:\ word)?|melody|lead[- ]in"
)
_ORDINAL = r"(?:(?:the\ )?(?:1st|2nd|3rd|first|second|third|fourth|final|last|half|double)\ )?"
_NUMBER = (
    r"(?:\ (?:\d{1,2}|[a-h]|[ivx]{1,4}))?(?:\ ?\(?[x\u00d7]\ ?\d{1,2}\)?)?(?:\ ?\([^()]{1,40}\))?"
)
_IS_PLAIN = re.compile(rf"{_ORDINAL}(?:{_PLAIN}){_NUMBER}", re.VERBOSE | re.IGNORECASE)
_HAS_ANY = re.compile(rf"\b(?:{_ANY})s?\b", re.VERBOSE | re.IGNORECASE)
_NOTE = re.compile(r"(?:x\s?\d+|repeat.*|inaudible|unintelligible|laughs|\?+|\.+)", re.IGNORECASE)
"""What stands in square brackets within the lyrics."""
_ENUMERATION = re.compile(r"^(?:\d{1,2}[.)]\s+|[-*•·]\s+)")
_PAIRS = {"[": "]", "(": ")", "{": "}", "<": ">"}
_EDGES = " \t*_#|:•·,;@\"'" + DASHES
_IN_BRACKETS = re.compile(r"\[([^\[\]]{1,60})\]")
_IS_MARKED = re.compile(r"(?:#{1,6}\s+.*|\*\*[^*]+\*\*|__[^_]+__):?")
_EMPHASIS = re.compile(r"\*\*|__|^#{1,6}\s+")
_SEPARATOR = re.compile(rf":\s|\s[{DASHES}|]\s|:$")
_TRAILING_WORD = re.compile(r"\b(?:from|at|starts?(?:\ at)?|begins?(?:\ at)?)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: the name of a section, and what follows it on its line."""

    name: str
    rest: str = ""
    is_separated: bool = False
    """Whether a colon or a dash is between them: the rest is then about the section."""


def without_enumeration(line: str) -> str:
    """Return a line of a list without its bullet or number."""
    return _ENUMERATION.sub("", line.strip(), count=1)


def plain(line: str) -> str:
    """Return a line without its bullet or number, and without Markdown's emphasis."""
    return _EMPHASIS.sub("", without_enumeration(line)).strip()


def cleaned(text: str) -> str:
    """Return text without the brackets, markup and punctuation around it."""
    for _ in range(MAX_NESTING):
        before, text = text, _TRAILING_WORD.sub("", text.strip(_EDGES)).strip(_EDGES)
        first, last = text[:1], text[-1:]
        closing = _PAIRS.get(first)
        if closing and (closing == last or closing not in text):
            text = text[1:-1] if closing == last else text[1:]
        elif last in _PAIRS.values() and not any(
            opening in text for opening, one in _PAIRS.items() if one == last
        ):
            text = text[:-1]
        if text == before:
            break
    return text


def is_name(text: str) -> bool:
    """Return whether text that stands beside a time, or before a colon, is a section's name."""
    is_short = 0 < len(text) <= MAX_NAME_CHARS and len(text.split()) <= MAX_NAME_WORDS
    return is_short and _HAS_ANY.search(text) is not None


def heading_of(line: str) -> Heading | None:
    """Return the heading that `line` is; None: it is a line of the text."""
    is_marked = _IS_MARKED.fullmatch(without_enumeration(line)) is not None
    line = plain(line)
    if found := _IN_BRACKETS.match(line):
        return _bracketed(line, found)
    if is_marked and len(name := cleaned(line)) <= MAX_NAME_CHARS and name:
        return _separated(line) or Heading(name)
    if line.startswith("(") and line.endswith(")") and is_name(cleaned(line)):
        return Heading(cleaned(line))
    if _IS_PLAIN.fullmatch(cleaned(line)):
        return Heading(cleaned(line))
    return _separated(line)


def _bracketed(line: str, found: re.Match[str]) -> Heading | None:
    name = cleaned(found[1])
    if not name or (_NOTE.fullmatch(name) and not is_name(name)):
        return None
    rest = line[found.end() :]
    return Heading(name, cleaned(rest), is_separated=_SEPARATOR.match(f"{rest} ") is not None)


def _separated(line: str) -> Heading | None:
    separator = _SEPARATOR.search(line)
    if separator is None:
        return None
    name = cleaned(line[: separator.start()])
    if not is_name(name):
        return None
    return Heading(name, cleaned(line[separator.end() :]), is_separated=True)
