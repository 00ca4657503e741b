"""`--help` of a service: its settings in groups, each with its variable and its default.

`--help=GROUP` is one group, and `--help=WORD` the flags with that word.

Pure.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

FLAGS = ("-h", "--help")
FLAG_WIDTH = 4
MEANING_WIDTH = 8
WIDTH = 96
UNITS = {
    "_per_s": "NUMBER",
    "_s": "SECONDS",
    "_bytes": "BYTES",
    "_gib": "GIB",
    "_tokens": "TOKENS",
    "_url": "URL",
}
"""What a value is, by the end of its setting's name."""
KINDS: Mapping[Any, str] = {int: "NUMBER", float: "NUMBER", str: "TEXT"}
OTHERS = (("SecretStr", "KEY"), ("Path", "FILE"), ("Network", "NETWORK"))


class UnknownTopic(Exception):
    """There is neither a group nor a flag of that name."""


def requested(argv: Sequence[str]) -> str | None:
    """Return what help is asked for; empty: all of it. None: flags without a request for help."""
    for flag in argv:
        if flag in FLAGS:
            return ""
        if flag.startswith("--help="):
            return flag.partition("=")[2]
    return None


def text(kind: type[BaseSettings], prog: str, topic: str = "") -> str:
    """Return the help, or what of it is about a topic.

    Raises:
        UnknownTopic: nothing is; the message has the groups.
    """
    found = _chosen(groups(kind), topic)
    about = (kind.__doc__ or "").strip().splitlines()[0]
    names = ", ".join(groups(kind))
    lines = [f"usage: {prog} [FLAG ...]", "", about, ""]
    if not topic:
        topics = f"--help=GROUP shows one group ({names}), --help=WORD the flags with a word."
        lines += [
            *_wrapped(topics, ""),
            "A flag overrides its variable, a variable the file of --config.",
            "",
        ]
    for title, fields in found.items():
        lines.append(f"{title}:")
        for name in fields:
            lines += _entry(kind, name)
        lines.append("")
    return "\n".join(lines)


def groups(kind: type[BaseSettings]) -> dict[str, list[str]]:
    """Return the settings by the title of their group, those of the service before the common ones.

    A class names in `GROUPS` the first setting of each group; the others follow it.
    """
    titles: dict[str, str] = {}
    for each in kind.__mro__:
        titles |= vars(each).get("GROUPS", {})
    found: dict[str, list[str]] = {}
    title = ""
    for name in kind.model_fields:
        title = titles.get(name, title)
        found.setdefault(title, []).append(name)
    return {one: found[one] for one in dict.fromkeys([*titles.values(), *found]) if one in found}


def _chosen(all_groups: Mapping[str, list[str]], topic: str) -> Mapping[str, list[str]]:
    wanted = topic.strip("-").replace("-", " ").replace("_", " ").casefold()
    by_title = {one: names for one, names in all_groups.items() if one.casefold() == wanted}
    if not wanted or by_title:
        return by_title or all_groups
    by_word = {
        title: [name for name in names if wanted in name.replace("_", " ")]
        for title, names in all_groups.items()
    }
    if not any(by_word.values()):
        titles = ", ".join(all_groups)
        raise UnknownTopic(f"--help={topic}: no such group or flag; groups: {titles}")
    return {title: names for title, names in by_word.items() if names}


def _entry(kind: type[BaseSettings], name: str) -> Iterator[str]:
    field = kind.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    value = _value(name, field.annotation)
    shown = f"{flag} {value}" if value else f"{flag}, --no-{flag.removeprefix('--')}"
    meaning = " ".join((field.description or "").split())
    variable = f"{kind.model_config['env_prefix']}{name.upper()}"
    yield " " * FLAG_WIDTH + shown
    indent = " " * MEANING_WIDTH
    yield from _wrapped(meaning, indent)
    yield f"{indent}[{variable}{_default(field)}]"


def _wrapped(words: str, indent: str) -> list[str]:
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _value(name: str, annotation: Any) -> str:
    """Return what a user writes after the flag; nothing after one that is yes or no."""
    options = [one for one in get_args(annotation) if one is not type(None)]
    if get_origin(annotation) is Literal:
        return "|".join(map(str, options))
    if get_origin(annotation) is list:
        return f"{_kind(name, options[0]).upper()},…"
    if annotation is bool or options == [bool]:
        return ""
    if get_origin(annotation) is None:
        return _kind(name, annotation)
    return _value(name, options[0])


def _kind(name: str, kind: Any) -> str:
    if unit := next((word for end, word in UNITS.items() if name.endswith(end)), ""):
        return unit
    return next((word for part, word in OTHERS if part in str(kind)), KINDS.get(kind, "TEXT"))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "; required"
    value = field.get_default(call_default_factory=True)
    if value in (None, "", []):
        return ""
    return f"; default: {value.value if isinstance(value, Enum) else _plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
