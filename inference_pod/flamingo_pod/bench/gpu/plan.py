"""What `flamingo bench gpu` measures: sizes for a GPU with the published model, and for a CPU.

Each measurement has a limit of time, so that a slow device measures less and not longer: it first
measures a little, and computes from that how much fits. What is not done after twice its limit is
given up. The limits of all measurements for a GPU add up to less than seven minutes; building the
model, comparing the kernels and recording the steps are not limited, and take about a minute.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Goals:
    """The shares that the design aims at; None and absent: none."""

    decode: Mapping[int, float] = field(default_factory=dict)
    """By the number of rows."""
    prefill: float | None = None
    encoder: float | None = None
    request: float | None = None
    saturated: float | None = None


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds that one measurement is planned to take at most."""

    prefill_s: float
    encoder_s: float
    decode_s: float
    """Of each number of rows, with the prefill of their prompts."""
    request_s: float
    """Of each clip."""
    saturated_s: float
    generate_s: float
    """Of one request, and of a batch."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """The amounts of each measurement."""

    decode_rows: tuple[int, ...]
    decode_context: int
    """Prompt tokens of each decoding sequence."""
    num_steps: int
    """Measured decoding steps for each number of rows, at most."""
    prefill_tokens: int
    """Of each of the prompts."""
    num_prefills: int
    num_windows: int
    clips_s: tuple[float, ...]
    """Length of the clip of each single request."""
    num_output: int
    """Tokens of each answer."""
    num_captions: int
    """Requests of 30 s clips that are sent at once, at most."""
    static_batch: int
    """Requests in a batch of transformers' `generate`."""
    limits: TimeLimits
    goals: Goals = Goals()

    @property
    def limit_s(self) -> float:
        """Seconds of all measurements together, as planned."""
        limits = self.limits
        decode_s = limits.decode_s * len(self.decode_rows)
        requests_s = limits.request_s * len(self.clips_s)
        once_s = limits.prefill_s + limits.encoder_s + limits.saturated_s
        return once_s + decode_s + requests_s + 2 * limits.generate_s

    @property
    def decode_output(self) -> int:
        """Tokens that a decoding sequence may generate; the first wait for others' prefill."""
        return 4 * self.num_steps + 64


def amount_within(limit_s: float, one_s: float, at_most: int) -> int:
    """Return how many that take `one_s` each fit into a limit: at least one."""
    return max(1, min(at_most, int(limit_s / one_s)))


PUBLISHED = BenchPlan(
    decode_rows=(1, 8, 64, 256),
    decode_context=960,
    num_steps=50,
    prefill_tokens=4096,
    num_prefills=8,
    num_windows=128,
    clips_s=(30.0, 180.0, 600.0, 1200.0),
    num_output=300,
    num_captions=512,
    static_batch=16,
    limits=TimeLimits(
        prefill_s=10, encoder_s=10, decode_s=25, request_s=25, saturated_s=120, generate_s=25
    ),
    goals=Goals(
        decode={1: 0.75, 256: 0.65},
        prefill=0.6,
        encoder=0.55,
        request=1 / 1.4,
        saturated=0.65,
    ),
)
QUICK = BenchPlan(
    decode_rows=(1, 4),
    decode_context=40,
    num_steps=3,
    prefill_tokens=256,
    num_prefills=2,
    num_windows=2,
    clips_s=(3.0, 31.0),
    num_output=8,
    num_captions=4,
    static_batch=2,
    limits=TimeLimits(
        prefill_s=20, encoder_s=20, decode_s=20, request_s=20, saturated_s=20, generate_s=20
    ),
)
