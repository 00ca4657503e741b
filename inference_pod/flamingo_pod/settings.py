"""A pod's settings. Each field is a flag and a `FLAMINGO_POD_*` variable."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from flamingo_common.recipes import folder
from flamingo_common.recipes.recipe import RecipeInvalid
from flamingo_common.service.settings import CommaList, ServiceSettings
from flamingo_pod.model.limits import ReasoningParser


class Settings(ServiceSettings):
    """Serve one model over an OpenAI-compatible HTTP API."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_POD_")
    GROUPS: ClassVar[Mapping[str, str]] = {
        "model": "Model",
        "max_audio_s": "Limits of requests",
        "max_num_seqs": "Engine",
        "audio_decode_workers": "Audio",
        "fetch": "Clips by URL",
        "metric_aliases": "Operation",
    }

    model: str = Field(default="flamingo-tiny", min_length=1, max_length=256)
    """Model to serve: flamingo-tiny or flamingo-tiny-27m (built in), a local folder, or a Hugging
    Face model id."""
    revision: str | None = None
    """Branch, tag or commit of the Hugging Face model; default: main."""
    served_model_name: str | None = None
    """Model name in /v1/models and in responses; default: the value of --model."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to run the model on; auto uses a GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type of the weights; auto is bfloat16 on a GPU and float32 on a CPU."""
    quantization: Literal["fp8"] | None = None
    """Quantize the language model's linear layers while loading: fp8 halves their memory and needs
    a GPU of compute capability 8.9 or newer. A checkpoint published in FP8 needs no setting."""
    reasoning_parser: ReasoningParser = "auto"
    """Whether the model thinks before it answers, between <think> and </think>: think, none, or
    auto, which looks for the marks in its chat template and tokenizer, and for the word in its
    name."""
    enable_auto_tool_choice: bool = False
    """Whether a request with tools may leave it to the model whether to call one: tool_choice auto,
    the default of most clients. Its calls are valid, but no checkpoint for audio was trained to
    decide when to make them."""
    max_audio_s: float | None = Field(default=None, gt=0, le=7200)
    """Maximum clip length in seconds; default and upper limit: the model's own maximum."""
    max_concurrent_answers: int = Field(default=256, ge=1, le=100_000)
    """Maximum number of answers in flight, running or waiting; each of n choices counts.
    Further requests are rejected with 429 and a Retry-After header."""
    max_request_memory_bytes: int = Field(default=4 * 2**30, ge=2**20)
    """Memory for request bodies and decoded clips. A request that does not fit is rejected with 429
    before its body is read."""
    max_held_clip_bytes: int = Field(default=2**30, ge=0)
    """Maximum memory for clips that are held after their requests, so that they can be used again
    by their id. It is a part of --max-request-memory-bytes and yields to requests; 0: none is
    held."""
    held_clip_ttl_s: float = Field(default=3600.0, gt=0, le=7 * 86_400)
    """Seconds after its last use for which a clip is held at most."""
    max_backlog_s: float = Field(default=600.0, gt=0, le=86_400)
    """Maximum predicted seconds of work in flight; further requests are rejected with 429."""
    max_num_seqs: int | None = Field(default=None, ge=1, le=1024)
    """Maximum number of sequences in a batch; the others wait. Default: 256 on a GPU, 128 on one
    with less than 32 GB, 64 on a CPU."""
    async_scheduling: bool | None = None
    """Whether a decoding step is launched before the tokens of the step before have been read.
    Default: on a GPU, which would wait for the host otherwise."""
    kv_cache_tokens: int | None = Field(default=None, ge=256)
    """Size of the KV cache in tokens; default: what a GPU has left beside the weights, the largest
    step and the encoder cache, which are measured at start, or 2 GiB on a CPU."""
    encoder_cache_gib: float = Field(default=1.0, ge=0, le=1024)
    """Memory in GiB for the audio encoder's outputs, reused when a clip is sent again. It is host
    memory where a GPU has little."""
    model_impl: Literal["fused", "transformers"] = "fused"
    """Implementation of the model: this project's fused layers, or transformers' own modules, which
    are slower."""
    audio_decode_workers: int = Field(default=1, ge=1, le=64)
    """Number of processes that decode audio."""
    audio_decode_timeout_s: float = Field(default=60.0, gt=0, le=600)
    """Maximum seconds to decode one clip, after which its worker is killed."""
    measure_workers: int = Field(default=1, ge=1, le=64)
    """Number of processes that measure tempo, key and loudness, for requests with measure: true.
    Each takes 0.4 GB of memory once it has measured a clip, and waits for all other work."""
    measure_timeout_s: float = Field(default=120.0, gt=0, le=600)
    """Maximum seconds to measure one clip, after which its worker is killed; the answers of the
    model are returned without its measurements."""
    recipes_dir: Path | None = None
    """Folder with recipes of your own, one YAML file each, beside those of the package."""
    fetch: Literal["public", "off"] = "public"
    """Whether audio may be fetched from http(s) URLs: from public addresses and from
    --fetch-allowed-networks, or not at all."""
    fetch_allowed_networks: CommaList[IPv4Network | IPv6Network] = Field(default=[])
    """Private networks that audio may be fetched from, comma-separated, in CIDR notation."""
    fetch_allowed_hosts: CommaList[str] = Field(default=[])
    """The only hosts that audio may be fetched from, comma-separated: `a.example.org` or
    `*.example.org`; default: any host."""
    max_fetches: int = Field(default=16, ge=1, le=1024)
    """Maximum number of URLs fetched at once; the others wait, within their timeout."""
    fetch_timeout_s: float = Field(default=30.0, gt=0, le=600)
    """Maximum seconds to fetch a URL."""

    metric_aliases: bool = True
    """Whether /metrics also exports vLLM's metric names (vllm:*), for dashboards made for vLLM."""
    stall_timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """Seconds without an engine step while requests are in flight, after which the pod fails its
    liveness probe and exits."""
    shutdown_delay_s: float = Field(default=0.0, ge=0, le=600)
    """Seconds after SIGTERM during which new requests are still accepted, until load balancers have
    removed the pod."""
    heartbeat_interval_s: float = Field(default=5.0, gt=0, le=600)
    """Seconds of silence after which a streamed response gets a comment that keeps the connection
    open."""

    def check_files(self) -> Iterator[str]:
        """Yield a message for each error in the files that the settings refer to."""
        yield from super().check_files()
        try:
            folder.load(self.recipes_dir)
        except RecipeInvalid as error:
            yield f"--recipes-dir: {error}"
