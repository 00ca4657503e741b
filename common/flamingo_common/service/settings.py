"""Settings of a service, from flags, environment variables, a YAML file and defaults.

A service declares one frozen class with a docstring for each field. Each field is a flag
(`--max-body-bytes`), a variable (`FLAMINGO_POD_MAX_BODY_BYTES`) and a name in a YAML file
(`max_body_bytes`), in this order of precedence. All errors are reported at once.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from flamingo_common.service import key_text, keys, setting_sources, settings_help
from flamingo_common.service.comma_list import split_commas
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.service.setting_sources import ExplicitSettings
from flamingo_common.wire import MAX_BODY_BYTES, reasons

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
"""An origin as browsers send it: lower case, without a path."""


NETWORK_ERRORS = frozenset({"ip_v4_network", "ip_v6_network"})
"""What pydantic calls a text that is not a network of that family."""
Item = TypeVar("Item")


def _items(value: object) -> object:
    return list(split_commas(value)) if isinstance(value, str) else value


CommaList = Annotated[list[Item], NoDecode, BeforeValidator(_items)]
"""A flag or variable `a, b`, a flag that is repeated, or a list in a settings file."""


def _clean_key(value: SecretStr) -> SecretStr:
    return SecretStr(key_text.clean(value.get_secret_value()))


ApiKey = Annotated[SecretStr, AfterValidator(_clean_key)]
"""An API key, without the blanks and line breaks around it."""


class ServiceSettings(BaseSettings):
    """Settings that all services have."""

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

    GROUPS: ClassVar[Mapping[str, str]] = {
        "config": "Process",
        "key_file": "Callers",
        "max_body_bytes": "Connections",
    }
    """The title of each group of settings in `--help`, by the first setting in it."""

    config: Path | None = None
    """YAML file of settings; names have underscores instead of dashes."""
    host: str = "127.0.0.1"
    """Address to listen on; :: for all interfaces, with IPv6 and IPv4."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 picks a free port."""
    fd: int | None = Field(default=None, ge=0)
    """File descriptor of an inherited listening socket to use instead of host and port."""
    stop_with_parent: bool = False
    """Stop when standard input is closed, which happens when the parent process exits."""
    grace_period_s: float = Field(default=30.0, ge=0, le=14_400)
    """Seconds that requests in flight have to finish after SIGTERM before they are aborted."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of log messages."""
    key_file: Path | None = None
    """File of API keys (YAML or JSON), reloaded on change; default: no authentication."""
    allowed_hosts: CommaList[str] = Field(default=[])
    """Public names by which a server without keys may be called on loopback; comma-separated."""
    cors_origin: CommaList[str] = Field(default=[])
    """Origin (or *) whose web pages may call this server; repeatable, or comma-separated."""
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1024)
    """Maximum size of a request body in bytes; a larger one is rejected with status 413."""
    header_timeout_s: float = Field(default=10.0, gt=0)
    """Timeout in seconds for the request line and headers of a request."""
    body_idle_timeout_s: float = Field(default=60.0, gt=0)
    """Timeout in seconds between two reads of a request body; status 408 if exceeded."""
    min_body_bytes_per_s: float = Field(default=8192.0, gt=0)
    """Minimum bytes per second of a request body, after its first 30 s; status 408 if slower."""
    write_timeout_s: float = Field(default=30.0, gt=0)
    """Timeout in seconds for a client that does not read its response."""
    max_connections: int = Field(default=10_000, ge=1)
    """Maximum number of open connections; more are rejected with status 503."""
    max_connections_per_peer: int = Field(default=4096, ge=1)
    """Maximum number of open connections from one address (IPv6: one /64 network)."""
    trusted_proxies: CommaList[IPv4Network | IPv6Network] = Field(default=[])
    """Networks of the proxies in front, whose X-Forwarded-For names the client; comma-separated."""

    @field_validator("cors_origin")
    @classmethod
    def _check_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not a valid origin; use https://HOST[:PORT] or *")
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
        """Use only the values that `setting_sources` has collected."""
        return (init_settings,)

    def startup_errors(self) -> Iterator[str]:
        """Yield a message for each reason why the service cannot start with these settings."""
        yield from ()

    def check_files(self) -> Iterator[str]:
        """Yield a message for each error in the files that the settings refer to."""
        yield from check_file("--key-file", self.key_file, keys.parse)


S = TypeVar("S", bound=ServiceSettings)


def load(kind: type[S], argv: Sequence[str], environ: Mapping[str, str], *, prog: str) -> S:
    """Return the settings to start with, or print all errors and exit with status 2."""
    settings, _ = resolve(kind, argv, environ, prog=prog)
    if errors := list(settings.startup_errors()):
        raise _reported(errors, prog)
    return settings


def resolve(
    kind: type[S], argv: Sequence[str], environ: Mapping[str, str], *, prog: str
) -> tuple[S, ExplicitSettings]:
    """Return the settings and the source of each; print errors and exit as `load` does."""
    if (topic := settings_help.requested(argv)) is not None:
        raise _helped(kind, prog, topic)
    explicit = setting_sources.read(kind, argv, environ, prog=prog)
    errors = explicit.errors
    try:
        settings = kind(**explicit.values)
    except ValidationError as error:
        found = (_message(kind, detail, explicit) for detail in error.errors(include_url=False))
        errors += dict.fromkeys(found)  # neither an IPv4 nor an IPv6 network: once
    else:
        errors += settings.check_files()
        if not errors:
            return settings, explicit
    raise _reported(errors, prog)


def _helped(kind: type[ServiceSettings], prog: str, topic: str) -> SystemExit:
    """Print the help that is asked for, and return the exit to raise."""
    try:
        print(settings_help.text(kind, prog, topic), end="")  # noqa: T201 - for the user
    except settings_help.UnknownTopic as error:
        return _reported([str(error)], prog)
    return SystemExit(0)


def _reported(errors: Sequence[str], prog: str) -> SystemExit:
    """Print the errors, and return the exit to raise."""
    print(f"{prog}: " + f"\n{prog}: ".join(errors), file=sys.stderr)  # noqa: T201 - for the user
    return SystemExit(ExitStatus.INVALID_CONFIGURATION)


def check_file(flag: str, path: Path | None, parse: Callable[[bytes], object]) -> Iterator[str]:
    """Yield a message for each error in the file that `flag` refers to."""
    if path is None:
        return
    try:
        parse(path.read_bytes())
    except OSError as error:
        yield f"{flag}: {path}: {error.strerror}"
    except keys.InvalidKeyFile as invalid:
        yield from (f"{flag}: {message}" for message in invalid.errors)
    except ValueError as error:
        yield f"{flag}: {error}"


def _message(
    kind: type[ServiceSettings], detail: Any, explicit: setting_sources.ExplicitSettings
) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else "settings"
    source = explicit.sources.get(name, "")
    is_from_file = ":" in source
    where = (
        f"{source}: {name}"
        if is_from_file
        else f"{setting_sources.flag_name(name)} ({setting_sources.variable_name(kind, name)})"
    )
    return f"{where}: {_reason(kind, detail)}"


def _reason(kind: type[ServiceSettings], detail: Any) -> str:
    if detail["type"] in NETWORK_ERRORS:
        return "is not a network, such as 10.0.0.0/8 or fd00::/8"
    # A number in a flag is text as well.
    return reasons.reason_of(detail, kind, is_form=True).removesuffix(", not text")
