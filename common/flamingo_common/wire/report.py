"""Load reports of a pod (`GET /stats`), its loading phases, and the router's `GET /fleet`.

Pure.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FLEET_VERSION = 2
MAX_TIMINGS = 32
MAX_REPORTED_CLIPS = 1024
CLIP_HEADER = "x-flamingo-clip"
"""The router's name for a request's clip; the router drops the header if a client sends it."""
PodState = Literal["starting", "loading", "warming", "ready", "draining", "stopped", "failed"]

LoadingPhase = Literal["resolving", "downloading", "reading", "warming"]


class Report(BaseModel):
    """Base of all reports: fields of a newer server are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class RequestTiming(Report):
    """Compute time of one finished request, from which the router learns its cost model."""

    number: int = Field(ge=0)
    """Serial number of the request, since consecutive reports repeat timings."""
    route: str
    """Path of the request."""
    num_windows: int = Field(ge=0)
    """30 s windows that were encoded, without the cached ones."""
    num_tokens: int = Field(ge=0)
    """Generated tokens, all choices or answers together."""
    num_answers: int = Field(default=1, ge=1)
    """Choices, or answers to questions, of the request."""
    compute_s: float = Field(ge=0, allow_inf_nan=False)
    """Its share of the engine's time, in seconds as if it had run alone."""


class StartReport(Report):
    """Seconds that the pod took to become ready, by phase."""

    fetch_s: float = Field(ge=0, allow_inf_nan=False)
    """Resolving the model's files and downloading the missing ones."""
    load_s: float = Field(ge=0, allow_inf_nan=False)
    """Loading the weights into the device's memory."""
    warm_s: float = Field(ge=0, allow_inf_nan=False)
    """Answering a warm-up request."""


class BackendReport(Report):
    """Which implementation computes the language model's layers."""

    name: str
    """`triton` or `torch`."""
    reason: str
    """Why it was chosen."""


class LowLoadReport(Report):
    """The part of a pod's load that has low priority, and that all other requests overtake."""

    backlog_s: float = Field(ge=0, allow_inf_nan=False)
    """Predicted seconds until all of it is finished."""
    queued_s: float = Field(ge=0, allow_inf_nan=False)
    """The part of the backlog before the first tokens: encoding and prefill."""
    num_running: int = Field(ge=0)
    """Sequences that are running in the engine."""
    num_waiting: int = Field(ge=0)
    """Sequences that wait in the engine's queue."""


class CacheReport(Report):
    """What one of a pod's caches was asked for since its start, and what it had."""

    queries: int = Field(ge=0)
    hits: int = Field(ge=0)


class LoadReport(Report):
    """The current load of one pod."""

    model: str
    """Id of the served model."""
    state: PodState
    epoch: str
    """Identifies the process: it changes when the pod restarts."""
    sequence: int = Field(ge=0)
    """Serial number of the report within an epoch."""
    backlog_s: float = Field(ge=0, allow_inf_nan=False)
    """Predicted seconds until all requests in flight are finished."""
    queued_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The part of the backlog that a new request waits for: encoding and prefill; null: unknown."""
    num_running: int = Field(ge=0)
    """Sequences that are running in the engine."""
    num_waiting: int = Field(ge=0)
    """Sequences that wait in the engine's queue."""
    low: LowLoadReport | None = None
    """The part of all this that has low priority; null from pods that know no priorities."""
    window_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Measured seconds to encode and prefill one 30 s window; null before the first."""
    token_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Measured seconds per generated token; null before the first."""
    num_kv_tokens: int | None = Field(default=None, ge=0)
    """Size of the KV cache in tokens."""
    num_kv_tokens_used: int | None = Field(default=None, ge=0)
    """KV cache tokens of running sequences; cached prefixes count as free."""
    clips: list[str] = Field(default=[], max_length=MAX_REPORTED_CLIPS)
    """Clips whose states are cached, by the names that the router sent in `x-flamingo-clip`."""
    held_clips: dict[str, float] | None = Field(default=None, max_length=MAX_REPORTED_CLIPS)
    """Seconds of each clip that can be used again by its id, by a digest of that; null from pods
    that hold none."""
    timings: list[RequestTiming] = Field(default=[], max_length=MAX_TIMINGS)
    """Timings of the last finished requests, oldest first."""
    caches: dict[str, CacheReport] = {}
    """By cache: windows in `states` and `embeddings`, prompt tokens in `kv`, clips by their id in
    `held`; empty from pods that do not report them."""
    start: StartReport | None = None
    """Start-up times; null until the pod is ready."""
    backend: BackendReport | None = None
    """Implementation of the language model's layers; null until the model is loaded."""


class LoadingStatus(Report):
    """Loading progress of a pod that is not ready."""

    phase: LoadingPhase
    phase_s: float = Field(ge=0)
    """Seconds since the phase began."""
    elapsed_s: float = Field(ge=0)
    """Seconds since loading began."""
    done_bytes: int = 0
    """Bytes of this phase that are done."""
    total_bytes: int | None = None
    """Bytes of this phase; null if it is not measured in bytes."""
    left_s: float | None = Field(default=None, ge=0)
    """Estimated seconds until the phase ends; null if unknown."""


class ReadyReport(Report):
    """Readiness of a pod: status 200 if ready, otherwise 503 with `Retry-After` and an error."""

    status: PodState
    model: str
    commit: str | None = None
    """Commit of the Hugging Face repository; null for a local directory or a built-in model."""
    loading: LoadingStatus | None = None
    """Only while the pod is loading."""
    error: dict[str, Any] | None = None
    """Error that a request would receive; only while the pod is not ready."""


class EndpointReport(Report):
    """The router's view of one pod."""

    address: str
    ready: bool
    """Whether requests are sent to this pod."""
    backlog_s: float
    """Predicted seconds until all requests sent to the pod are finished."""
    queued_s: float = 0.0
    """The part of the backlog that a new request waits for: encoding and prefill."""
    num_open: int
    """Requests in flight to this pod."""
    speed: float = 1.0
    """Slowdown factor: compute time relative to the average pod of the same model."""
    ejected: bool = False
    """Whether the pod gets no requests for a while, because it failed or is far too slow."""
    reason: str = ""
    """Why it gets no requests: its own state, `unreachable`, `key_refused`, `name_refused`,
    `stale`, `removed` or `ejected`."""
    num_clips: int = 0
    """Number of clips whose states the pod has cached."""
    load: LoadReport | None
    """The pod's last load report, without the names of clips; null if there is no recent one."""


class QueueReport(Report):
    """The router's queue: requests that wait for capacity, or for the first ready pod."""

    num: int = 0
    """Number of queued requests."""
    audio_s: float = 0.0
    """Seconds of audio in the queued requests."""
    work_s: float = 0.0
    """Predicted compute seconds of the queued requests on one pod."""
    oldest_s: float = 0.0
    """Seconds that the oldest request has waited."""


class ArrivalReport(Report):
    """Request arrivals per second, including rejected requests."""

    window_s: float
    """Seconds that the averages cover, or less after the router's start."""
    covered_s: float | None = None
    """Seconds that they cover now; null from routers that do not report it."""
    num: float
    """Requests per second."""
    audio_s: float
    """Seconds of audio per second."""
    work_s: float
    """Predicted compute seconds per second: 3.0 keeps three pods busy."""


class CallerQuota(Report):
    """What one caller has spent of its limits at one router."""

    num_in_flight: int = Field(default=0, ge=0)
    """Requests in flight."""
    requests: float = Field(default=0.0, allow_inf_nan=False)
    """Requests since the router's start."""
    audio_s: float = Field(default=0.0, allow_inf_nan=False)
    """Seconds of audio since the router's start."""
    requests_left: float | None = Field(default=None, allow_inf_nan=False)
    """Requests that are left at all routers together, as this one knows; null: no limit."""
    audio_left_s: float | None = Field(default=None, allow_inf_nan=False)
    """Seconds of audio that are left; null: no limit."""


class QuotaReport(Report):
    """What the callers of one router have spent of their limits, for the other routers."""

    epoch: str
    """Identifies the process."""
    callers: dict[str, CallerQuota] = {}
    """By the name of their API key."""


class FleetReport(Report):
    """The pods behind a router, their load, and the router's queue and arrivals.

    An autoscaler adds up `queue` and `arrivals` over all routers; the endpoints are the
    same in each. Within a `version`, fields are added but never change their meaning.
    """

    version: int = FLEET_VERSION
    """Version of this format."""
    endpoints: list[EndpointReport]
    """The pods behind the router."""
    queue: QueueReport = QueueReport()
    """Requests queued in the router."""
    arrivals: list[ArrivalReport] = []
    """Arrival rates over the last minute and over the last five minutes."""
    cold: bool = False
    """Whether no pod is ready, so that requests are held for a cold start."""
    holding_s: float = 0.0
    """Seconds for which requests have been held without a ready pod; 0 if none are held."""
    completed_audio_s: float = 0.0
    """Seconds of audio in completed requests since the router started."""
