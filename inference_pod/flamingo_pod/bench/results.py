"""The result of running one engine, and the machine it ran on, as types and as JSON.

Pure.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BenchOutput:
    """One request's tokens, and when the first of them arrived."""

    number: int
    token_ids: tuple[int, ...]
    first_token_s: float | None
    """Seconds since the request arrived, including queueing; None where it is unknown."""
    margins: tuple[float, ...] = ()
    """By how much each token's logit exceeded the second best; from the reference only."""


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """Resources that the measured part of a run used."""

    cpu_s: float
    wall_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class FollowUpShares:
    """How much of its prompt each follow-up question about a clip made the engine compute."""

    computed: tuple[float, ...]
    new: tuple[float, ...]
    """The share that no earlier prompt begins with: the least that must be computed."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One run of one engine."""

    used: ResourceUsage
    outputs: tuple[BenchOutput, ...]
    note: str = ""
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage, where the engine measures them."""
    follow_ups: FollowUpShares | None = None


@dataclass(frozen=True, slots=True)
class NoResult:
    """Why an engine has no result."""

    reason: str
    is_failure: bool
    """Whether it failed, rather than being skipped."""


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """The machine and the code that were measured."""

    cpu: str
    num_cores: int
    load_average: float
    """Of the minute before the start: load from other processes."""
    commit: str
    torch: str
    transformers: str


def encode(result: BenchResult | NoResult) -> dict[str, Any]:
    """Return `result` as JSON types."""
    return asdict(result)


def parse(fields: Mapping[str, Any]) -> BenchResult | NoResult:
    """Return the result in the fields that `encode` returned."""
    if "reason" in fields:
        return NoResult(**fields)
    follow_ups = fields["follow_ups"]
    return BenchResult(
        used=ResourceUsage(**fields["used"]),
        outputs=tuple(map(_output, fields["outputs"])),
        note=fields["note"],
        stages_s=fields["stages_s"],
        follow_ups=follow_ups
        and FollowUpShares(tuple(follow_ups["computed"]), tuple(follow_ups["new"])),
    )


def _output(fields: Mapping[str, Any]) -> BenchOutput:
    return BenchOutput(
        fields["number"],
        tuple(fields["token_ids"]),
        fields["first_token_s"],
        tuple(fields.get("margins", ())),
    )
