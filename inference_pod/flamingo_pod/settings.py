"""How a pod behaves. Each field is a flag and a `FLAMINGO_POD_*` variable."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from flamingo_common.service.settings import ServiceSettings


class Settings(ServiceSettings):
    """How a pod behaves."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_POD_")

    model: str = Field(default="flamingo-tiny", min_length=1, max_length=256)
    """Checkpoint: flamingo-tiny or flamingo-tiny-27m (built in), a folder, or a hub id."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    served_name: str | None = None
    """Name in /v1/models and in answers; default: the model's own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto takes a GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights; auto is bfloat16 on a GPU and float32 without."""
    max_audio_s: float | None = Field(default=None, gt=0, le=7200)
    """Longest clip taken, in seconds; default and ceiling: what the checkpoint takes."""
    max_held: int = Field(default=256, ge=1, le=100_000)
    """Answers held at once, one a choice; more are refused with 429 and told when to come back."""
    max_held_bytes: int = Field(default=4 * 2**30, ge=2**20)
    """Bytes of bodies and decoded clips held; a body beyond it is refused with 429, unread."""
    max_backlog_s: float = Field(default=600.0, gt=0, le=86_400)
    """Predicted seconds of work held; above that requests are refused with 429 likewise."""
    max_running: int = Field(default=64, ge=1, le=1024)
    """Sequences that are computed together; the others wait."""
    kv_tokens: int | None = Field(default=None, ge=256)
    """Tokens of keys and values held; default: what a GPU's free memory or 2 GiB holds."""
    cache_gib: float = Field(default=1.0, ge=0, le=1024)
    """Memory for encoded audio that may be asked about again."""
    forward: Literal["lean", "reference"] = "lean"
    """Which way through the model: our own, or transformers' modules, which is slower."""
    decode_workers: int = Field(default=1, ge=1, le=64)
    """Processes that decode audio."""
    decode_deadline_s: float = Field(default=60.0, gt=0, le=600)
    """Seconds a clip may take to decode before its worker is killed."""
    fetch: Literal["public", "off"] = "public"
    """Whether audio is fetched from http(s) URLs; never from private addresses, see below."""
    fetch_networks: Annotated[list[IPv4Network | IPv6Network], NoDecode] = Field(default=[])
    """Private networks that may be fetched from all the same, comma separated."""
    fetch_hosts: Annotated[list[str], NoDecode] = Field(default=[])
    """Fetch from these hosts only, comma separated: `a.example.org`, or `*.example.org`."""
    max_fetches: int = Field(default=16, ge=1, le=1024)
    """URLs fetched at once; others wait, within their deadline."""
    fetch_deadline_s: float = Field(default=30.0, gt=0, le=600)
    """Seconds that fetching a URL may take."""

    metric_aliases: bool = True
    """Whether /metrics also says, in Prometheus text, what vLLM's dashboards look for."""
    stall_s: float = Field(default=120.0, gt=0, le=3600)
    """Seconds of work held without a step after which the pod says that it must be replaced."""
    settle_s: float = Field(default=0.0, ge=0, le=600)
    """Seconds after SIGTERM that new work is still taken, while balancers learn of it."""
    heartbeat_s: float = Field(default=5.0, gt=0, le=600)
    """Seconds of silence after which a stream gets a comment that keeps it alive."""

    @field_validator("fetch_networks", "fetch_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value
