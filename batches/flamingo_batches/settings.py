"""The settings of the service: each field is a flag and a `FLAMINGO_BATCHES_…` variable."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from flamingo_common.service.sent_key import parse_sent_key
from flamingo_common.service.settings import ApiKey, CommaList, ServiceSettings, check_file

DATABASES = ("sqlite", "postgresql")
BUCKETS = ("s3", "gs", "az")
MAX_LINES = 50_000
"""OpenAI's limit."""


class Settings(ServiceSettings):
    """Keep files, and send the lines of batches to a fleet with low priority."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_BATCHES_")
    GROUPS: ClassVar[Mapping[str, str]] = {
        "server_url": "Fleet",
        "database_url": "Storage",
        "max_file_bytes": "Limits",
        "max_running_batches": "Work",
    }

    port: int = Field(default=8001, ge=0, le=65535)
    """Port to listen on; 0 picks a free port."""
    max_body_bytes: int = Field(default=2**20, ge=1024)
    """Maximum size of a JSON body in bytes; for uploads see --max-file-bytes."""
    server_url: str = "http://127.0.0.1:8000"
    """Address of the router that lines are sent to."""
    server_key: ApiKey | None = None
    """API key for the router. Prefer the variable: a flag is visible to `ps`."""
    server_key_file: Path | None = None
    """File with that key; reloaded on change, and preferred to --server-key."""
    database_url: SecretStr = SecretStr("sqlite:///flamingo-batches/batches.db")
    """sqlite:///PATH for one replica, or postgresql://USER:PASSWORD@HOST/NAME for several."""
    contents_url: str = "flamingo-batches/contents"
    """Directory, or s3://, gs:// or az://BUCKET/PREFIX, for the contents of files."""
    clip_source: CommaList[str] = Field(default=[])
    """s3://, gs:// or az://BUCKET/PREFIX/ that lines may read clips from; repeatable."""
    max_file_bytes: int = Field(default=200 * 2**20, ge=1024)
    """Maximum size of an uploaded file in bytes; a larger one is rejected with status 413."""
    max_lines: int = Field(default=MAX_LINES, ge=1, le=MAX_LINES)
    """Maximum lines of a batch."""
    max_stored_bytes_per_key: int = Field(default=100 * 2**30, ge=1024)
    """Maximum bytes of one key's files; further uploads are rejected with status 429."""
    max_active_batches_per_key: int = Field(default=100, ge=1)
    """Maximum batches of one key that are not finished; more are rejected with status 429."""
    max_running_batches: int = Field(default=32, ge=1, le=1000)
    """Maximum batches that this replica works on at a time, of which one key has at most half."""
    max_concurrency: int = Field(default=64, ge=1, le=4096)
    """Maximum lines in flight; the number in use adapts to what the fleet accepts."""
    request_timeout_s: float = Field(default=1800.0, gt=0)
    """Timeout in seconds for a line's response, after which the line is sent again."""
    max_response_bytes: int = Field(default=64 * 2**20, ge=1024)
    """Maximum size of a line's response in bytes; a line with a larger one fails."""
    lease_s: float = Field(default=15.0, ge=1, le=600)
    """Seconds after which another replica continues the batches of one that has died."""
    poll_interval_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds between two looks for batches to work on."""

    def check_files(self) -> Iterator[str]:
        """Yield a message for each error in the files that the settings refer to."""
        yield from super().check_files()
        yield from check_file("--server-key-file", self.server_key_file, parse_sent_key)

    @field_validator("server_url")
    @classmethod
    def _check_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError(f"{value!r} is not a valid address; expected http://HOST:PORT")
        return value.rstrip("/").removesuffix("/v1")

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: SecretStr) -> SecretStr:
        scheme = value.get_secret_value().partition("://")[0]
        if scheme == "postgres":  # what many providers write
            rest = value.get_secret_value().removeprefix("postgres")
            return SecretStr(f"postgresql{rest}")
        if scheme not in DATABASES:
            raise ValueError("must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")
        return value

    @field_validator("contents_url")
    @classmethod
    def _check_contents(cls, value: str) -> str:
        if "://" in value:
            _check_bucket(value)
        return value

    @field_validator("clip_source")
    @classmethod
    def _check_sources(cls, value: list[str]) -> list[str]:
        for each in value:
            _check_bucket(each)
        return [each if each.endswith("/") else f"{each}/" for each in value]


def _check_bucket(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in BUCKETS or not parts.netloc or parts.query or "@" in parts.netloc:
        raise ValueError(f"{url!r} is not valid; expected s3://, gs:// or az://BUCKET/PREFIX")
