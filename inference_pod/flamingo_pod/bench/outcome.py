"""What came of running one engine, and where, as types and as JSON.

Pure.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BenchOutput:
    """One request's tokens, and when the first of them came."""

    number: int
    token_ids: tuple[int, ...]
    first_token_s: float | None
    """Seconds since the request arrived, queueing included; None where the engine does not tell."""
    margins: tuple[float, ...] = ()
    """By how much each token's logit beat the next; only the reference tells."""


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What the measured part of a run took of the machine."""

    cpu_s: float
    wall_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class FollowUpReuse:
    """How much of its prompt each further question about a clip made the engine read again."""

    shares: tuple[float, ...]
    least: tuple[float, ...]
    """The share of its tokens that stand behind what it has in common with an earlier prompt."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One run of one engine."""

    used: ResourceUsage
    answers: tuple[BenchOutput, ...]
    note: str = ""
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """What each stage took, where the engine tells."""
    follow_ups: FollowUpReuse | None = None


@dataclass(frozen=True, slots=True)
class NoResult:
    """Why an engine has no figures."""

    reason: str
    is_failure: bool
    """Whether it should have run."""


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """What belongs beside a figure."""

    cpu: str
    num_cores: int
    load_average: float
    """Of the last minute before the start: what others did here."""
    commit: str
    torch: str
    transformers: str


def encode(outcome: BenchResult | NoResult) -> dict[str, Any]:
    """Return `outcome` as JSON's types."""
    return asdict(outcome)


def parse(told: Mapping[str, Any]) -> BenchResult | NoResult:
    """Return what `encode` was given."""
    if "reason" in told:
        return NoResult(**told)
    follow_ups = told["follow_ups"]
    return BenchResult(
        used=ResourceUsage(**told["used"]),
        answers=tuple(map(_answer, told["answers"])),
        note=told["note"],
        stages_s=told["stages_s"],
        follow_ups=follow_ups
        and FollowUpReuse(tuple(follow_ups["shares"]), tuple(follow_ups["least"])),
    )


def _answer(told: Mapping[str, Any]) -> BenchOutput:
    return BenchOutput(
        told["number"],
        tuple(told["token_ids"]),
        told["first_token_s"],
        tuple(told.get("margins", ())),
    )
