"""What a pod tells the router of its load (`GET /stats`), and the router of the fleet.

Pure.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FLEET_VERSION = 2
MAX_TIMINGS = 32
MAX_REPORTED_CLIPS = 1024
CLIP_HEADER = "x-flamingo-clip"
"""The router's name for a request's clip; what a client sends under this name goes no further."""
PodState = Literal["starting", "loading", "warming", "ready", "draining", "stopped", "failed"]

LoadingPhase = Literal["resolving", "downloading", "reading", "warming"]


class Report(BaseModel):
    """Base: a newer pod may say more than this router understands."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class RequestTiming(Report):
    """What one finished request took of the pod: the router learns its costs from these."""

    number: int = Field(ge=0)
    """Counts the pod's finished requests, so that each report may repeat the last few."""
    route: str
    num_windows: int = Field(ge=0)
    """30 s windows that were computed; those that a cache held are not counted."""
    num_tokens: int = Field(ge=0)
    """Tokens written, by all choices."""
    compute_s: float = Field(ge=0, allow_inf_nan=False)
    """Its share of the pod's steps: seconds as if it had run alone."""


class StartReport(Report):
    """What the process took, in seconds, to become ready."""

    fetch_s: float = Field(ge=0, allow_inf_nan=False)
    """Finding the model's files, and downloading what was missing."""
    load_s: float = Field(ge=0, allow_inf_nan=False)
    """Reading them into the device's memory."""
    warm_s: float = Field(ge=0, allow_inf_nan=False)
    """Until a warm-up clip was answered."""


class LoadReport(Report):
    """One pod, now. `epoch` changes when the process restarts, `sequence` counts reports."""

    model: str
    state: PodState
    epoch: str
    sequence: int = Field(ge=0)
    backlog_s: float = Field(ge=0, allow_inf_nan=False)
    """Predicted seconds until the pod has finished all it holds."""
    queued_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of these, encoding and prefill: what one more request waits for. None: it does not tell."""
    num_running: int = Field(ge=0)
    num_waiting: int = Field(ge=0)
    window_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Measured seconds to encode and prefill one 30 s window; None before the first."""
    token_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Measured seconds per generated token; None before the first."""
    num_kv_tokens: int | None = Field(default=None, ge=0)
    """Tokens of keys and values that the pod can hold."""
    num_kv_tokens_used: int | None = Field(default=None, ge=0)
    """Of these, tokens that belong to running sequences; what is only cached counts as free."""
    clips: list[str] = Field(default=[], max_length=MAX_REPORTED_CLIPS)
    """Names, as the router sent them in `CLIP_HEADER`, of clips whose states are still cached."""
    timings: list[RequestTiming] = Field(default=[], max_length=MAX_TIMINGS)
    """The last finished requests, oldest first."""
    start: StartReport | None = None
    """None until it is ready."""


class LoadingStatus(Report):
    """Where a pod that is not ready stands."""

    phase: LoadingPhase
    phase_s: float = Field(ge=0)
    elapsed_s: float = Field(ge=0)
    """Since the process began to load."""
    done_bytes: int = 0
    total_bytes: int | None = None
    """None where the phase is not counted in bytes."""
    left_s: float | None = Field(default=None, ge=0)
    """Of this phase, at the pace it had; None where nothing can be said."""


class ReadyReport(Report):
    """`GET /health/ready` of a pod: 200 when `ready`, else 503 with `Retry-After` and an error."""

    status: PodState
    model: str
    commit: str | None = None
    """The hub's commit whose files are served; None for a folder or a built-in model."""
    loading: LoadingStatus | None = None
    """Only while it loads."""
    error: dict[str, Any] | None = None
    """What a request would get; only while it is not ready."""


class EndpointReport(Report):
    """One pod as the router sees it."""

    address: str
    ready: bool
    backlog_s: float
    queued_s: float = 0.0
    """Of the backlog, the prefill that one more request would wait for."""
    num_open: int
    """Requests sent there and not yet settled."""
    speed: float = 1.0
    """How many times as long as the usual pod of its model it takes."""
    ejected: bool = False
    """Whether the router leaves it alone for a while: it failed, or it is far too slow."""
    reason: str = ""
    """Why it gets no work: the pod's own state, or `silent`, `set aside`, `leaving`, `ejected`."""
    num_clips: int = 0
    """Clips whose states it holds."""
    load: LoadReport | None
    """The pod's last word, without the clips' names; None when it is unknown or stale."""


class QueueReport(Report):
    """What waits in this router, for a free pod or for a first one."""

    num: int = 0
    audio_s: float = 0.0
    work_s: float = 0.0
    """Predicted seconds of one pod."""
    oldest_s: float = 0.0
    """How long the oldest has waited."""


class ArrivalReport(Report):
    """What came in, per second, refused requests included."""

    window_s: float
    """Over how many seconds."""
    num: float
    audio_s: float
    work_s: float
    """Predicted seconds of one pod: 3.0 keeps three pods busy."""


class FleetReport(Report):
    """`GET /fleet`: all the pods of this router, and what they have to do.

    An autoscaler adds up the routers' `queue` and `arrivals`; the endpoints are the same
    in each. Fields are added, and never change their meaning within one `version`.
    """

    version: int = FLEET_VERSION
    endpoints: list[EndpointReport]
    queue: QueueReport = QueueReport()
    arrivals: list[ArrivalReport] = []
    """Over the last minute, and over the last five."""
    cold: bool = False
    """Whether no pod is ready: then what waits is held for a first one."""
    holding_s: float = 0.0
    """For how long requests have been held with no pod ready; 0: none is."""
    completed_audio_s: float = 0.0
    """Seconds of audio answered since this router started."""
