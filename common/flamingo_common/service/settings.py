"""Settings: flag > environment > file > default, and every fault told at once.

A service declares one frozen class with a sentence under each field. Each field
is a flag (`--max-body-bytes`), a variable (`FLAMINGO_POD_MAX_BODY_BYTES`) and a
name in a YAML file (`max_body_bytes`); only what was given overrides.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from flamingo_common.service import keys, setting_sources
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire import MAX_BODY_BYTES

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

    config: Path | None = None
    """A YAML file of settings, each under its name with underscores."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 opens it to the network."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    fd: int | None = Field(default=None, ge=0)
    """A listening socket inherited from the parent, instead of host and port."""
    stop_with_parent: bool = False
    """Stop when standard input closes, which it does when the parent dies."""
    grace_period_s: float = Field(default=30.0, ge=0, le=14_400)
    """Seconds that held requests get to finish after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    key_file: Path | None = None
    """API keys (YAML or JSON, read anew when it changes); without it everybody may ask."""
    cors_origin: Annotated[list[str], NoDecode] = Field(default=[])
    """Origin of a page that may call from a browser, or *. Repeat it, or separate with commas."""
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1024)
    """Largest request body taken; a larger one is refused with 413."""
    header_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds from a request's first byte to the end of its head."""
    body_idle_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds without a byte of the body after which a request is given up with 408."""
    min_body_bytes_per_s: float = Field(default=1024.0, gt=0)
    """Slowest body taken, after its first 30 s; a slower one is given up with 408."""
    write_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds in which a client must take some of its answer, or lose the connection."""
    max_connections: int = Field(default=10_000, ge=1)
    """Connections held at once; one more is refused with 503."""
    max_connections_per_peer: int = Field(default=4096, ge=1)
    """Of these, from one address (IPv6: one network of 64 bits)."""

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `layers` found, and look nowhere else."""
        return (init_settings,)

    def check_files(self) -> Iterator[str]:
        """Yield a sentence for each fault of the files that are named here."""
        yield from check_file("--key-file", self.key_file, keys.parse)


S = TypeVar("S", bound=ServiceSettings)


def load(kind: type[S], argv: Sequence[str], environ: Mapping[str, str], *, prog: str) -> S:
    """Return the settings, or print every fault and exit with status 2."""
    return resolve(kind, argv, environ, prog=prog)[0]


def resolve(
    kind: type[S], argv: Sequence[str], environ: Mapping[str, str], *, prog: str
) -> tuple[S, setting_sources.GivenSettings]:
    """Return the settings and where each comes from; exit as `load` does."""
    given = setting_sources.read(kind, argv, environ, prog=prog)
    told = given.faults
    try:
        settings = kind(**given.values)
    except ValidationError as error:
        told += [_fault(kind, fault, given) for fault in error.errors(include_url=False)]
    else:
        told += settings.check_files()
        if not told:
            return settings, given
    print(f"{prog}: " + f"\n{prog}: ".join(told), file=sys.stderr)  # noqa: T201 - usage goes to a person
    raise SystemExit(ExitStatus.INVALID_CONFIGURATION)


def check_file(flag: str, path: Path | None, parse: Callable[[bytes], object]) -> Iterator[str]:
    """Yield a sentence for each reason why a file that `flag` names cannot be used."""
    if path is None:
        return
    try:
        parse(path.read_bytes())
    except OSError as error:
        yield f"{flag}: {path}: {error.strerror}"
    except keys.InvalidKeyFile as bad:
        yield from (f"{flag}: {fault}" for fault in bad.faults)
    except ValueError as error:
        yield f"{flag}: {error}"


def _fault(kind: type[ServiceSettings], fault: Any, given: setting_sources.GivenSettings) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    origin = given.origins.get(name, "")
    is_from_file = ":" in origin
    where = (
        f"{origin}: {name}"
        if is_from_file
        else f"{setting_sources.flag_name(name)} ({setting_sources.variable_name(kind, name)})"
    )
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
