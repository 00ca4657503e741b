"""Settings: flag > environment > default, and every fault told at once.

A service declares one frozen class with a sentence under each field. Each field
is a flag (`--max-body-bytes`) and a variable (`FLAMINGO_POD_MAX_BODY_BYTES`);
only what was given overrides.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flamingo.wire import MAX_BODY_BYTES

EXIT_USAGE = 2
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
"""As a browser writes it: lower case, no path."""


class ServiceSettings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 opens it to the network."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    fd: int | None = Field(default=None, ge=0)
    """A listening socket inherited from the parent, instead of host and port."""
    stop_with_parent: bool = False
    """Stop when standard input closes, which it does when the parent dies."""
    grace_s: float = Field(default=30.0, ge=0, le=7200)
    """Seconds that held requests get to finish after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    cors_origin: Annotated[list[str], NoDecode] = Field(default=[])
    """Origin of a page that may call from a browser, or *. Repeat it, or separate with commas."""
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1024)
    """Largest request body taken; a larger one is refused with 413."""

    @field_validator("cors_origin", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value

    @field_validator("cors_origin")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; give https://HOST[:PORT] or *")
        return value


S = TypeVar("S", bound=ServiceSettings)


def load(kind: type[S], argv: Sequence[str], environ: Mapping[str, str], *, prog: str) -> S:
    """Return the settings, or print every fault and exit with status 2."""
    told = [*_unknown(kind, environ)]
    try:
        settings = kind(_cli_parse_args=list(argv), _cli_prog_name=prog)
    except ValidationError as error:
        told += [_fault(kind, fault) for fault in error.errors(include_url=False)]
    else:
        if not told:
            return settings
    print(f"{prog}: " + f"\n{prog}: ".join(told), file=sys.stderr)  # noqa: T201 - usage goes to a person
    raise SystemExit(EXIT_USAGE)


def _unknown(kind: type[ServiceSettings], environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable with our prefix that is no setting: a typo."""
    prefix = kind.model_config["env_prefix"]
    known = {prefix + name.upper() for name in kind.model_fields}
    given = (name for name in environ if name.startswith(prefix))
    return [_explain(name, environ[name]) for name in sorted(set(given) - known)]


def _explain(name: str, value: str) -> str:
    if value.startswith("tcp://") or name.endswith(("_SERVICE_HOST", "_SERVICE_PORT")):
        return f"{name}: a Kubernetes service link; set enableServiceLinks: false in the pod"
    return f"{name}: no such setting"


def _fault(kind: type[ServiceSettings], fault: Any) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    flag = "--" + name.replace("_", "-")
    variable = kind.model_config["env_prefix"] + name.upper()
    return f"{flag} ({variable}): {fault['msg'].removeprefix('Value error, ')}"
