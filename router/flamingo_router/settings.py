"""How this router behaves: each field is a flag and a `FLAMINGO_ROUTER_…` variable."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from flamingo.service.settings import ServiceSettings, faults_of

_SECRET = re.compile(r"[!-~]+")


def secret(value: SecretStr) -> SecretStr:
    """Return a key that may stand in a header.

    Raises:
        ValueError: it is empty, or holds a blank or anything but ASCII; does not quote it.
    """
    if not _SECRET.fullmatch(value.get_secret_value()):
        raise ValueError("not an API key: one word of ASCII")
    return value


def pod_key(text: bytes) -> SecretStr:
    """Return the key in the text of a file.

    Raises:
        ValueError: as `secret`.
    """
    return secret(SecretStr(text.decode("ascii", "replace").strip()))


class Settings(ServiceSettings):
    """What the router needs to know."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_ROUTER_")

    endpoint: Annotated[list[str], NoDecode, Field(min_length=1)]
    """Address of a pod, http://HOST:PORT. Repeat it, or separate several with commas."""
    max_spool_bytes: int = Field(default=2**20, ge=0)
    """Bytes of a request kept until a pod answers, so that another pod can be tried."""
    connect_s: float = Field(default=1.5, gt=0)
    """Seconds to connect to a pod; one that takes longer is as good as down."""
    poll_s: float = Field(default=0.25, gt=0)
    """Seconds between two load reports of a pod."""
    stale_after_s: float = Field(default=1.0, gt=0)
    """Age of a load report after which the pod's backlog counts as unknown."""
    lost_after_s: float = Field(default=10.0, gt=0)
    """Age of a load report after which the pod gets no more work."""
    ceiling_s: float = Field(default=120.0, gt=0)
    """Predicted seconds of work a pod may hold; when all hold more, requests get 429."""
    pod_key: Annotated[SecretStr, AfterValidator(secret)] | None = None
    """API key for the pods' load reports. Give the variable: a flag shows in the process list."""
    pod_key_file: Path | None = None
    """File that holds that key instead; read anew when it changes."""
    tell_endpoint: bool = False
    """Name the pod that answered in `x-flamingo-endpoint`. Shows inside addresses to clients."""

    def file_faults(self) -> Iterator[str]:
        """Yield a sentence for each fault of the files that are named here."""
        yield from super().file_faults()
        yield from faults_of("--pod-key-file", self.pod_key_file, pod_key)

    @field_validator("endpoint", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("endpoint")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        addresses = [_address(text) for text in value]
        if len(set(addresses)) < len(addresses):
            raise ValueError("an endpoint is given twice")
        return addresses


def _address(text: str) -> str:
    """Return `text` as scheme, host and port.

    Raises:
        ValueError: it is not just that.
    """
    parts = urlsplit(text)
    is_http = parts.scheme in ("http", "https") and parts.hostname
    if not is_http or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in text:
        raise ValueError(f"{text!r} is no address of a pod; give http://HOST:PORT")
    _ = parts.port  # raises what is wrong with it
    return f"{parts.scheme}://{parts.netloc}"
