"""The router's settings: each field is a flag and a `FLAMINGO_ROUTER_…` variable."""

import os
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from flamingo_common import numerals
from flamingo_common.service import key_text
from flamingo_common.service.comma_list import split_commas
from flamingo_common.service.sent_key import parse_sent_key
from flamingo_common.service.settings import ApiKey, CommaList, ServiceSettings, check_file
from flamingo_router.pods.endpoint_slices import Service

PolicyName = Literal["least-work-left", "least-work-left-plain", "least-connections", "round-robin"]


class Settings(ServiceSettings):
    """Route each request to the pod where it finishes first."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_ROUTER_")
    GROUPS: ClassVar[Mapping[str, str]] = {
        "endpoint": "Pods",
        "policy": "Balancing",
        "replay_buffer_bytes": "Bodies",
        "probe_urls": "Clips by URL",
        "connect_timeout_s": "Health of pods",
        "max_backlog_s": "Queue",
        "pod_key": "Keys for pods",
        "quota_share": "Several routers",
        "batches_url": "Other services",
    }

    endpoint: CommaList[str] = Field(default=[])
    """Address of a pod, http://HOST:PORT; repeatable, or comma-separated."""
    dns: str = ""
    """NAME:PORT that resolves to the pods (a headless Service); resolved again every 5 s."""
    endpointslice: str = ""
    """NAMESPACE/SERVICE[:PORTNAME] whose EndpointSlices are watched for pods."""
    kube_api: str = ""
    """Address of the Kubernetes API server; default: in-cluster."""
    kube_token_file: str = ""
    """Bearer token file for the API server; default: the service account's."""
    kube_ca_file: str = ""
    """CA bundle for the API server; default: the service account's."""
    policy: PolicyName = "least-work-left"
    """Balancing policy. The others are for comparison, and never queue requests in the router."""
    replay_buffer_bytes: int = Field(default=2**20, ge=0)
    """Bytes of a request body kept in memory until a pod responds, so that it can be retried."""
    spool_dir: str = ""
    """Directory that keeps larger bodies for a retry; default: larger bodies are not retried."""
    spool_max_bytes: int = Field(default=4 * 2**30, ge=0)
    """Maximum bytes in that directory; bodies that do not fit are not retried."""
    probe_urls: bool = False
    """Fetch a few bytes of clips given by URL, to estimate their length before choosing a pod."""
    probe_allowed_networks: CommaList[IPv4Network | IPv6Network] = Field(default=[])
    """Private networks that probes may connect to, comma-separated; default: none."""
    probe_allowed_hosts: CommaList[str] = Field(default=[])
    """Only hosts to probe, comma-separated: `a.example.org` or `*.example.org`; default: any."""
    connect_timeout_s: float = Field(default=1.5, gt=0)
    """Connect timeout in seconds, after which a pod counts as unreachable."""
    poll_interval_s: float = Field(default=0.25, gt=0)
    """Seconds between two polls of a pod's load report; four times as long for an idle pod."""
    stale_after_s: float = Field(default=2.0, gt=0)
    """Age of a load report after which the pod's backlog counts as unknown."""
    unreachable_after_s: float = Field(default=10.0, gt=0)
    """Age of a load report after which the pod gets no more requests."""
    max_backlog_s: float = Field(default=120.0, gt=0)
    """Maximum predicted seconds of work at a pod; status 429 when all pods exceed it."""
    queue_threshold_s: float = Field(default=30.0, gt=0)
    """Predicted seconds of prefill at every pod above which requests queue in the router."""
    max_queued: int = Field(default=1000, ge=0)
    """Maximum requests in the router's queue; status 429 if it is full."""
    max_queued_audio_s: float = Field(default=36_000.0, ge=0)
    """Maximum seconds of audio in the router's queue; status 429 if it is full."""
    max_wait_s: float = Field(default=60.0, gt=0)
    """Maximum predicted seconds until a pod starts a request; status 429 if it is longer."""
    assumed_deadline_s: float = Field(default=60.0, gt=0)
    """Seconds until a client without a deadline is assumed to give up; status 429 if it is late."""
    cold_start_hold_s: float = Field(default=60.0, ge=0, le=3600)
    """Seconds that requests are held while no pod is ready (cold start); then status 503."""
    max_slow_uploads_per_client: int = Field(default=256, ge=1)
    """Maximum uploads of one key (or address, without keys) that take over 2 s; then status 429."""
    heartbeat_interval_s: float = Field(default=5.0, gt=0)
    """Seconds between two SSE comments to a streaming client whose request is queued."""
    pod_key: ApiKey | None = None
    """API key for the pods' load reports. Prefer the variable: a flag is visible to `ps`."""
    pod_key_file: Path | None = None
    """File with that key; reloaded on change, and preferred to --pod-key."""
    quota_share: float = Field(default=1.0, gt=0, le=1)
    """This router's share of every key's limits: 0.333 with three routers. See --quota-peers."""
    quota_peers: str = ""
    """All routers, which apply every key's limits together: NAMESPACE/SERVICE, or addresses
    separated by commas. Replaces --quota-share."""
    batches_url: str = ""
    """Address of the service of files and batches; default: their routes have status 404."""
    expose_endpoint: bool = False
    """Send the pod's address as `x-flamingo-endpoint`. Exposes internal addresses to clients."""

    def check_files(self) -> Iterator[str]:
        """Yield a message for each error in the files that the settings refer to."""
        yield from super().check_files()
        yield from check_file("--pod-key-file", self.pod_key_file, parse_sent_key)
        token_file = Path(self.kube_token_file) if self.kube_token_file else None
        yield from check_file("--kube-token-file", token_file, key_text.decode)

    @field_validator("endpoint")
    @classmethod
    def _parse_endpoints(cls, value: list[str]) -> list[str]:
        addresses = [parse_address(text) for text in value]
        if len(set(addresses)) < len(addresses):
            repeated = next(each for each in addresses if addresses.count(each) > 1)
            raise ValueError(f"duplicate endpoint {repeated}")
        return addresses

    @field_validator("batches_url")
    @classmethod
    def _check_batches(cls, value: str) -> str:
        return parse_address(value) if value else value

    @field_validator("spool_dir")
    @classmethod
    def _check_writable(cls, value: str) -> str:
        if value and not os.access(value, os.W_OK | os.X_OK):
            raise ValueError(f"{value!r} is not a writable directory")
        return value

    @field_validator("dns")
    @classmethod
    def _check_dns(cls, value: str) -> str:
        if value:
            parse_host_port(value)
        return value

    @property
    def quota_peer_addresses(self) -> tuple[str, ...]:
        """The addresses in `quota_peers`; empty if it names a Service."""
        if "://" not in self.quota_peers:
            return ()
        return tuple(parse_address(text) for text in split_commas(self.quota_peers))

    @field_validator("quota_peers")
    @classmethod
    def _check_quota_peers(cls, value: str) -> str:
        if "://" not in value:
            return check_service(value)
        addresses = [parse_address(text) for text in split_commas(value)]
        if len(set(addresses)) < len(addresses):
            repeated = next(each for each in addresses if addresses.count(each) > 1)
            raise ValueError(f"duplicate address {repeated}")
        return value

    @field_validator("endpointslice")
    @classmethod
    def _check_service(cls, value: str) -> str:
        return check_service(value)

    def startup_errors(self) -> Iterator[str]:
        """Yield a message if no source of pods is configured."""
        if not (self.endpoint or self.dns or self.endpointslice):
            yield "no pods configured; set --endpoint, --dns or --endpointslice"


def parse_host_port(text: str) -> tuple[str, int]:
    """Return the host and the port of `NAME:PORT`.

    Raises:
        ValueError: `text` has another form.
    """
    host, _, digits = text.rpartition(":")
    port = numerals.whole(digits)
    if not host or port is None or not 0 < port <= 65_535:  # noqa: PLR2004 - TCP's
        raise ValueError(f"{text!r} is not a valid address; expected NAME:PORT")
    return host.strip("[]"), port


def check_service(text: str) -> str:
    """Return the text, which is empty or names a Service.

    Raises:
        ValueError: `text` has another form than `NAMESPACE/SERVICE[:PORTNAME]`.
    """
    if text:
        Service.parse(text)
    return text


def parse_address(text: str) -> str:
    """Return `scheme://host:port` of an endpoint's address.

    Raises:
        ValueError: `text` is not an http(s) address, or has more than scheme, host and port.
    """
    parts = urlsplit(text)
    is_http = parts.scheme in ("http", "https") and parts.hostname
    if not is_http or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in text:
        raise ValueError(f"{text!r} is not a valid address; expected http://HOST:PORT")
    _ = parts.port  # raises ValueError for a port that is not a number in range
    return f"{parts.scheme}://{parts.netloc}"
