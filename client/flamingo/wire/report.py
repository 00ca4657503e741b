"""What a pod tells the router of its load (`GET /stats`), and the router of the fleet.

Pure.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PodState = Literal["starting", "loading", "warming", "ready", "draining", "stopped", "failed"]


class Report(BaseModel):
    """Base: a newer pod may say more than this router understands."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class LoadReport(Report):
    """One pod, now. `epoch` changes when the process restarts, `sequence` counts reports."""

    model: str
    state: PodState
    epoch: str
    sequence: int = Field(ge=0)
    backlog_s: float = Field(ge=0, allow_inf_nan=False)
    """Predicted seconds until the pod has finished all it holds."""
    num_running: int = Field(ge=0)
    num_waiting: int = Field(ge=0)
    window_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Measured seconds to encode and prefill one 30 s window; None before the first."""
    token_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Measured seconds per generated token; None before the first."""


class EndpointReport(Report):
    """One pod as the router sees it."""

    address: str
    ready: bool
    backlog_s: float
    num_open: int
    """Requests sent there and not yet settled."""
    load: LoadReport | None
    """The pod's last word; None when it is unknown or stale."""


class FleetReport(Report):
    """`GET /fleet`: all the pods of this router."""

    endpoints: list[EndpointReport]
