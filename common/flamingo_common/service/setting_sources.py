"""Where each setting's value comes from: flag > environment > file > default.

Only what was given counts: a flag at its default leaves a variable as it is.
"""

import argparse
import contextlib
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import BaseSettings, CliSettingsSource, EnvSettingsSource, SettingsError

FILE_FIELD = "config"
"""The one setting that a file cannot have: which file it is."""


@dataclass(slots=True)
class GivenSettings:
    """What was given, by whom, and what was wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """A flag, a variable, or a file and line; what has none is the default."""
    faults: list[str] = field(default_factory=list)

    def add(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        """Put a layer under what is there."""
        for name, value in values.items():
            if name not in self.values:
                self.values[name], self.origins[name] = value, origins[name]


class _Variables(EnvSettingsSource):
    """The environment that we were given, not the process's."""

    def __init__(self, kind: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(kind)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items() if value}


def read(
    kind: type[BaseSettings], argv: Sequence[str], environ: Mapping[str, str], *, prog: str
) -> GivenSettings:
    """Return all that was given; a fault does not keep others from being found."""
    given = GivenSettings()
    flags = _flags(kind, argv, prog, given.faults)
    given.add(flags, {name: flag_name(name) for name in flags})
    variables = _Variables(kind, environ)()
    given.add(variables, {name: variable_name(kind, name) for name in variables})
    given.faults += _unknown_variables(kind, environ)
    if path := given.values.get(FILE_FIELD):
        _add_file(kind, Path(path), given)
    return given


def flag_name(name: str) -> str:
    """Return a setting's flag."""
    return "--" + name.replace("_", "-")


def variable_name(kind: type[BaseSettings], name: str) -> str:
    """Return a setting's environment variable."""
    return str(kind.model_config["env_prefix"]) + name.upper()


def _flags(
    kind: type[BaseSettings], argv: Sequence[str], prog: str, faults: list[str]
) -> dict[str, Any]:
    try:
        return _parsed(kind, argv, prog)
    except SettingsError as error:
        told = str(error).removeprefix("error parsing CLI: ")
        wrong = next((word for word in told.split() if word.startswith("--")), "")
        known = [flag_name(name) for name in kind.model_fields]
        faults.append(told + _suggestion(wrong.partition("=")[0], known))
    with contextlib.suppress(SettingsError):  # it has been told
        return _parsed(kind, argv, prog, is_lenient=True)
    return {}


def _parsed(
    kind: type[BaseSettings], argv: Sequence[str], prog: str, *, is_lenient: bool = False
) -> dict[str, Any]:
    source: CliSettingsSource[argparse.ArgumentParser] = CliSettingsSource(
        kind,
        cli_parse_args=list(argv),
        cli_prog_name=prog,
        cli_exit_on_error=False,
        cli_ignore_unknown_args=is_lenient,
    )
    return source()


def _unknown_variables(kind: type[BaseSettings], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable with our prefix that is no setting: a typo."""
    prefix = str(kind.model_config["env_prefix"])
    known = {variable_name(kind, name) for name in kind.model_fields}
    for name in sorted(name for name in environ if name.startswith(prefix) and name not in known):
        if environ[name].startswith("tcp://") or name.endswith(("_SERVICE_HOST", "_SERVICE_PORT")):
            yield f"{name}: a Kubernetes service link; set enableServiceLinks: false in the pod"
        else:
            yield f"{name}: no such setting" + _suggestion(name, known)


def _add_file(kind: type[BaseSettings], path: Path, given: GivenSettings) -> None:
    known = set(kind.model_fields) - {FILE_FIELD}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, value, line in _entries(path, given.faults):
        where = f"{path}:{line}"
        if name in values:
            given.faults.append(f"{where}: {name} is there twice; first at {origins[name]}")
        elif name in known:
            values[name], origins[name] = value, where
        else:
            told = f"{where}: {name}: no such setting"
            given.faults.append(told + _suggestion(name.replace("-", "_"), known))
    given.add(values, origins)


def _entries(path: Path, faults: list[str]) -> Iterator[tuple[str, Any, int]]:
    """Yield each name of a YAML file with its value and its line."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is not None and not isinstance(node, yaml.MappingNode):
            faults.append(f"{path}:{node.start_mark.line + 1}: give settings as `name: value`")
            return
        for name, value in node.value if node is not None else ():
            yield str(name.value), loader.construct_object(value, deep=True), _line(name)
    except OSError as error:
        faults.append(f"{path}: {error.strerror}")
    except (yaml.YAMLError, UnicodeError) as error:
        faults.append(f"{path}: " + " ".join(str(error).split()))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _suggestion(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
