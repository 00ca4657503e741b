"""`flamingo config` for one service: its effective settings, or their JSON schema."""

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import SecretStr

from flamingo_common.service import setting_sources, settings
from flamingo_common.service.settings import ServiceSettings

MASK = "***"
_SECRET = ("password", "secret", "token", "_key")


def main(
    kind: type[ServiceSettings], argv: Sequence[str], environ: Mapping[str, str], *, prog: str
) -> int:
    """Run the subcommand in `argv`: `schema`, or `show` with the service's flags."""
    verb, *rest = argv
    if verb == "schema":
        return _write(json.dumps(json_schema(kind), indent=2) + "\n", prog)
    resolved, explicit = settings.resolve(kind, rest, environ, prog=prog)
    return _write(to_yaml(resolved, explicit, prog=prog), prog)


def _write(text: str, prog: str) -> int:
    """Write to standard output; return 1 if it cannot be written, and 0 without a reader."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would flush it again, with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            return 0
        reason = (error.strerror or str(error)).lower()
        print(f"{prog}: cannot write to standard output: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def json_schema(kind: type[ServiceSettings]) -> dict[str, Any]:
    """Return the JSON schema of the service's settings file."""
    found = kind.model_json_schema()
    del found["properties"][setting_sources.FILE_FIELD]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def to_yaml(
    resolved: ServiceSettings, explicit: setting_sources.ExplicitSettings, *, prog: str
) -> str:
    """Return the settings as a YAML file with the source of each; secrets are masked."""
    values = resolved.model_dump(mode="json")
    file = values.pop(setting_sources.FILE_FIELD)
    lines = {name: _line(name, value) for name, value in values.items()}
    width = min(max(map(len, lines.values())), 44)
    head = [f"# {prog}" + (f" --config {file}" if file else "")]
    return "\n".join(
        head
        + [
            f"{line:<{width}}  # {explicit.sources.get(name, 'default')}"
            for name, line in lines.items()
        ]
        + [""]
    )


def _line(name: str, value: Any) -> str:
    if value is not None and (name.endswith(_SECRET) or isinstance(value, SecretStr)):
        value = MASK
    listed = yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()
    return f"{name}: {listed[1:-1]}"
