"""Sources of settings, in order of precedence: flag, environment variable, file, default.

Only values that are set explicitly count: the default of a flag does not override a variable.
"""

import argparse
import contextlib
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic_settings import BaseSettings, CliSettingsSource, EnvSettingsSource, SettingsError

from flamingo_common.service import service_links

FILE_FIELD = "config"
"""The setting that a settings file cannot have: the path of that file."""


@dataclass(slots=True)
class ExplicitSettings:
    """Explicitly set values, the source of each, and errors."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Flag, environment variable, or file and line of each value; defaults have none."""
    errors: list[str] = field(default_factory=list)
    """One message per error."""

    def add(self, values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
        """Add values of lower precedence than the present ones."""
        for name, value in values.items():
            if name not in self.values:
                self.values[name], self.sources[name] = value, sources[name]


class _EnvironSource(EnvSettingsSource):
    """Environment variables from a mapping instead of `os.environ`."""

    def __init__(self, kind: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(kind)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items() if value}


def read(
    kind: type[BaseSettings], argv: Sequence[str], environ: Mapping[str, str], *, prog: str
) -> ExplicitSettings:
    """Return all values that are set; collects every error instead of raising the first."""
    explicit = ExplicitSettings()
    environ = service_links.without_links(environ, prefix=str(kind.model_config["env_prefix"]))
    flags = _flags(kind, argv, prog, explicit.errors)
    explicit.add(flags, {name: flag_name(name) for name in flags})
    variables = _EnvironSource(kind, environ)()
    explicit.add(variables, {name: variable_name(kind, name) for name in variables})
    explicit.errors += _unknown_variables(kind, environ)
    if path := explicit.values.get(FILE_FIELD):
        _add_file(kind, Path(path), explicit)
    return explicit


def flag_name(name: str) -> str:
    """Return the flag of a setting."""
    return "--" + name.replace("_", "-")


def variable_name(kind: type[BaseSettings], name: str) -> str:
    """Return the environment variable of a setting."""
    return str(kind.model_config["env_prefix"]) + name.upper()


def _flags(
    kind: type[BaseSettings], argv: Sequence[str], prog: str, errors: list[str]
) -> dict[str, Any]:
    try:
        return _parse_flags(kind, argv, prog)
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ")
        unknown = next((word for word in message.split() if word.startswith("--")), "")
        known = [flag_name(name) for name in kind.model_fields]
        errors.append(message + _suggestion(unknown.partition("=")[0], known))
    with contextlib.suppress(SettingsError):  # already in `errors`
        return _parse_flags(kind, argv, prog, is_lenient=True)
    return {}


def _parse_flags(
    kind: type[BaseSettings], argv: Sequence[str], prog: str, *, is_lenient: bool = False
) -> dict[str, Any]:
    source: CliSettingsSource[argparse.ArgumentParser] = CliSettingsSource(
        kind,
        cli_parse_args=list(argv),
        cli_prog_name=prog,
        cli_exit_on_error=False,
        cli_ignore_unknown_args=is_lenient,
    )
    # pydantic-settings drops an empty value, and the default of the list would count.
    return {name: [] for name in _emptied_lists(kind, argv)} | source()


def _emptied_lists(kind: type[BaseSettings], argv: Sequence[str]) -> Iterator[str]:
    """Yield the settings that are lists and whose flag has an empty value."""
    flags = dict(pairwise([*argv, None]))
    for name, field_ in kind.model_fields.items():
        flag = flag_name(name)
        if get_origin(field_.annotation) is list and (f"{flag}=" in flags or flags.get(flag) == ""):
            yield name


def _unknown_variables(kind: type[BaseSettings], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield an error for each variable with the service's prefix that is not a setting."""
    prefix = str(kind.model_config["env_prefix"])
    known = {variable_name(kind, name) for name in kind.model_fields}
    for name in sorted(name for name in environ if name.startswith(prefix) and name not in known):
        yield f"{name}: unknown setting" + _suggestion(name, known)


def _add_file(kind: type[BaseSettings], path: Path, explicit: ExplicitSettings) -> None:
    known = set(kind.model_fields) - {FILE_FIELD}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value, line in _entries(path, explicit.errors):
        where = f"{path}:{line}"
        if name in values:
            explicit.errors.append(
                f"{where}: duplicate setting {name}; first set at {sources[name]}"
            )
        elif name in known:
            values[name], sources[name] = value, where
        else:
            message = f"{where}: {name}: unknown setting"
            explicit.errors.append(message + _suggestion(name.replace("-", "_"), known))
    explicit.add(values, sources)


def _entries(path: Path, errors: list[str]) -> Iterator[tuple[str, Any, int]]:
    """Yield name, value and line of each setting in a YAML file."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is not None and not isinstance(node, yaml.MappingNode):
            errors.append(f"{path}:{node.start_mark.line + 1}: write settings as `name: value`")
            return
        for name, value in node.value if node is not None else ():
            yield str(name.value), loader.construct_object(value, deep=True), _line(name)
    except OSError as error:
        errors.append(f"{path}: {error.strerror}")
    except (yaml.YAMLError, UnicodeError) as error:
        errors.append(f"{path}: " + " ".join(str(error).split()))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _suggestion(name: str, known: Collection[str]) -> str:
    # A typo is far above this; below it, the closest name is more often wrong than right.
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""
