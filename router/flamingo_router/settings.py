"""How this router behaves: each field is a flag and a `FLAMINGO_ROUTER_…` variable."""

import os
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from flamingo_common.service.settings import ServiceSettings, faults_of
from flamingo_router.pods.endpoint_slices import Service
from flamingo_router.pods.pod_key import pod_key, secret

PolicyName = Literal["least-work-left", "least-work-left-plain", "least-connections", "round-robin"]


class Settings(ServiceSettings):
    """What the router needs to know."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_ROUTER_")

    endpoint: Annotated[list[str], NoDecode] = Field(default=[])
    """Address of a pod, http://HOST:PORT. Repeat it, or separate several with commas."""
    dns: str = ""
    """NAME:PORT that resolves to the pods (a headless Service); looked up every few seconds."""
    endpointslice: str = Field(default="", validate_default=True)
    """NAMESPACE/SERVICE[:PORTNAME] whose EndpointSlices are watched."""
    kube_api: str = ""
    """Address of the Kubernetes API; empty: the cluster this runs in."""
    kube_token_file: str = ""
    """Token to show there; empty: the pod's own."""
    kube_ca_file: str = ""
    """Certificates to know it by; empty: the pod's own."""
    policy: PolicyName = "least-work-left"
    """Who gets a request. The others are there to compare with, and never let requests wait."""
    max_spool_bytes: int = Field(default=2**20, ge=0)
    """Bytes of a request kept in memory until a pod answers, so that another can be tried."""
    spool_dir: str = ""
    """Folder for what is kept of larger ones; empty: they are sent once."""
    spool_disk_bytes: int = Field(default=4 * 2**30, ge=0)
    """Most bytes in that folder; above it requests are sent once."""
    probe_urls: bool = False
    """Ask for a few bytes of clips that are given by URL, to know how long they are."""
    probe_networks: Annotated[list[IPv4Network | IPv6Network], NoDecode] = Field(default=[])
    """Private networks where that is done all the same, comma separated."""
    probe_hosts: Annotated[list[str], NoDecode] = Field(default=[])
    """Do it at these hosts only, comma separated: `a.example.org`, or `*.example.org`."""
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
    queue_at_s: float = Field(default=30.0, gt=0)
    """Predicted seconds of prefill a pod may hold before requests wait in the router."""
    max_queued: int = Field(default=1000, ge=0)
    """Most requests waiting in the router; above it: 429."""
    max_queued_audio_s: float = Field(default=36_000.0, ge=0)
    """Most seconds of audio waiting in the router; above it: 429."""
    max_wait_s: float = Field(default=60.0, gt=0)
    """Predicted seconds that a request may have to wait; above it: 429."""
    hold_s: float = Field(default=60.0, ge=0, le=3600)
    """Seconds that requests are held while no pod is ready, as at a cold start; then 503."""
    heartbeat_s: float = Field(default=5.0, gt=0)
    """Seconds between two comments to a stream that waits in the router."""
    pod_key: Annotated[SecretStr, AfterValidator(secret)] | None = None
    """API key for the pods' load reports. Give the variable: a flag shows in the process list."""
    pod_key_file: Path | None = None
    """File that holds that key instead; read anew when it changes."""
    quota_share: float = Field(default=1.0, gt=0, le=1)
    """This replica's part of every key's limits: with three routers, a third."""
    tell_endpoint: bool = False
    """Name the pod that answered in `x-flamingo-endpoint`. Shows inside addresses to clients."""

    def file_faults(self) -> Iterator[str]:
        """Yield a sentence for each fault of the files that are named here."""
        yield from super().file_faults()
        yield from faults_of("--pod-key-file", self.pod_key_file, pod_key)

    @field_validator("endpoint", "probe_networks", "probe_hosts", mode="before")
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

    @field_validator("spool_dir")
    @classmethod
    def _folder(cls, value: str) -> str:
        if value and not os.access(value, os.W_OK | os.X_OK):
            raise ValueError(f"{value!r} is no folder that can be written to")
        return value

    @field_validator("dns")
    @classmethod
    def _name_and_port(cls, value: str) -> str:
        if value:
            host_and_port(value)
        return value

    @field_validator("endpointslice")
    @classmethod
    def _some_source(cls, value: str, info: ValidationInfo) -> str:
        if value:
            Service.parse(value)
        elif not any(info.data.get(name, "faulty") for name in ("endpoint", "dns")):
            raise ValueError("say where the pods are: --endpoint, --dns or --endpointslice")
        return value


def host_and_port(text: str) -> tuple[str, int]:
    """Return what `NAME:PORT` says.

    Raises:
        ValueError: it is not of that form.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65_535:  # noqa: PLR2004 - TCP's
        raise ValueError(f"{text!r} is no name with a port; give NAME:PORT")
    return host.strip("[]"), int(port)


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
