"""What `flamingo config` says of one service: its effective settings, or their JSON schema."""

import json
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
    """Print what `argv` asks for: `schema`, or `show` and a service's own flags."""
    verb, *rest = argv
    if verb == "schema":
        sys.stdout.write(json.dumps(schema(kind), indent=2) + "\n")
    else:
        resolved, given = settings.resolve(kind, rest, environ, prog=prog)
        sys.stdout.write(shown(resolved, given, prog=prog))
    return 0


def schema(kind: type[ServiceSettings]) -> dict[str, Any]:
    """Return the JSON schema of a settings file."""
    found = kind.model_json_schema()
    del found["properties"][setting_sources.FILE_FIELD]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def shown(resolved: ServiceSettings, given: setting_sources.GivenSettings, *, prog: str) -> str:
    """Return the settings as a YAML file, with where each comes from; secrets are masked."""
    values = resolved.model_dump(mode="json")
    file = values.pop(setting_sources.FILE_FIELD)
    lines = {name: _line(name, value) for name, value in values.items()}
    width = min(max(map(len, lines.values())), 44)
    head = [f"# {prog}" + (f" --config {file}" if file else "")]
    return "\n".join(
        head
        + [
            f"{line:<{width}}  # {given.origins.get(name, 'default')}"
            for name, line in lines.items()
        ]
        + [""]
    )


def _line(name: str, value: Any) -> str:
    if value is not None and (name.endswith(_SECRET) or isinstance(value, SecretStr)):
        value = MASK
    listed = yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()
    return f"{name}: {listed[1:-1]}"
