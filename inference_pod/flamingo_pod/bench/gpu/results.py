"""What `flamingo bench gpu` measured, as types, as a table and as JSON.

Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

ALL_DIGITS_FROM = 100
MARGIN_LIMITS = {"float32": 0.007, "bfloat16": 0.25, "float16": 0.1}
FP8_MARGIN_LIMIT = 1.0
"""How far a token of the engine may be below that of `generate`, in standard deviations of the
logits. For float32 see decision 8. Rounding alone was found to give 0.05 in bfloat16, with eight
layers of the published dimensions and in flamingo-tiny, and 0.11 with FP8. A wrong token of the
published vocabulary is some four below."""
AMPLIFYING_MODELS = frozenset({"flamingo-tiny-27m"})
"""Their random weights amplify rounding so much that only float32 can be compared."""
EXPLANATION = (
    "share: of the least time that the device needs by its copy and matrix product above;"
    " for prefill and encoder, of the matrix product"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    name: str
    """Unique in a report."""
    value: float | None
    """None if it was not measured; `note` says why."""
    unit: str
    share: float | None = None
    """Of what the device reached in plain operations, or of the floor; None where there is none."""
    goal: float | None = None
    """The share that the design aims at, on a GPU with the published model."""
    note: str = ""
    is_failure: bool = False

    @classmethod
    def skipped(cls, name: str, reason: str) -> "Row":
        """Return the row of what this device or these options do not allow to measure."""
        return cls(name, None, "", note=reason)

    @classmethod
    def failed(cls, name: str, reason: str) -> "Row":
        """Return the row of a measurement that raised an error."""
        return cls(name, None, "", note=reason, is_failure=True)

    def line(self) -> str:
        """Return the row in Markdown."""
        value = "not measured" if self.value is None else f"{_number(self.value)} {self.unit}"
        share, goal = (_percent(each) for each in (self.share, self.goal))
        return f"| {self.name} | {value} | {share} | {goal} | {self.note} |"


@dataclass(frozen=True, slots=True)
class Equality:
    """Whether the engine's greedy tokens are those of transformers' `generate`."""

    precision: str
    """A data type, or one with `+fp8`."""
    num_compared: int
    num_equal: int
    """Tokens before the first that differs, over all prompts."""
    largest_margin: float
    """How far the first token of a prompt that differs is below that of `generate`, by the logits
    of `generate` and in their standard deviations: the largest of all prompts, 0 if none differs.
    """
    limit: float | None
    """Of that margin; None where it says nothing."""

    @property
    def is_failure(self) -> bool:
        """Whether a token differs by more than rounding explains."""
        return self.limit is not None and self.largest_margin > self.limit

    def lines(self) -> list[str]:
        """Return the result as text."""
        equal = f"{self.num_equal} of {self.num_compared} greedy tokens in {self.precision}"
        lines = [f"{equal} are those of transformers"]
        if self.num_equal < self.num_compared:
            verdict = "too far" if self.is_failure else "a near-tie"
            limit = (
                f"{verdict}, at most {self.limit:g}" if self.limit else "which says nothing here"
            )
            margin = f"{self.largest_margin:.2g} standard deviations of the logits"
            lines.append(f"the first other token is {margin} below the best ({limit})")
        return lines


@dataclass(frozen=True, slots=True)
class KernelError:
    """How far a kernel's result is from torch's, relative to the largest value."""

    kernel: str
    largest_error: float
    """Infinite where the kernel failed."""
    limit: float
    failure: str | None = None
    """The error that the kernel raised, if it did."""

    @property
    def is_failure(self) -> bool:
        """Whether a pod would not use the kernel."""
        return not self.largest_error <= self.limit

    def line(self) -> str:
        """Return the result as text."""
        verdict = "FAILED" if self.is_failure else "ok"
        cause = f": {self.failure}" if self.failure else ""
        error = f"error {self.largest_error:.1e}, limit {self.limit:.1e}"
        return f"kernel {self.kernel}: {verdict}, {error}{cause}"


@dataclass(frozen=True, slots=True)
class GpuReport:
    """All of one run."""

    command: Sequence[str]
    machine: dict[str, Any]
    backend: str
    backend_reason: str
    kernels: Sequence[KernelError]
    """Empty where none can run."""
    equality: Equality | None
    """None if the comparison raised an error, which is a row."""
    rows: Sequence[Row]
    total_s: float

    @property
    def failures(self) -> list[str]:
        """Return in a few words each what is wrong."""
        found = [f"{row.name}: {row.note}" for row in self.rows if row.is_failure]
        found += [one.line() for one in self.kernels if one.is_failure]
        if self.equality is not None and self.equality.is_failure:
            found.append("the engine's tokens are not those of transformers")
        return found

    def lines(self) -> list[str]:
        """Return the report as text, with a Markdown table."""
        origin = "; ".join(f"{name}: {value}" for name, value in self.machine.items())
        same = [] if self.equality is None else self.equality.lines()
        backend = f"backend {self.backend}: {self.backend_reason}"
        kernels = [one.line() for one in self.kernels]
        failures = [f"FAILED: {each}" for each in self.failures]
        end = [f"`{' '.join(self.command)}`, {self.total_s:.0f} s in all", origin, *failures]
        return [*same, backend, *kernels, "", *table(self.rows), "", EXPLANATION, *end]

    def encode(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        kernels = [asdict(each) for each in self.kernels]
        for each in kernels:  # infinity is not JSON
            each["largest_error"] = None if each["failure"] else each["largest_error"]
        return asdict(self) | {"kernels": kernels, "failures": self.failures}


def margin_limit(model: str, dtype: str, *, is_quantized: bool) -> float | None:
    """Return the limit of `Equality.largest_margin` for a model with random weights."""
    if model in AMPLIFYING_MODELS and (is_quantized or dtype != "float32"):
        return None
    return FP8_MARGIN_LIMIT if is_quantized else MARGIN_LIMITS[dtype]


def table(rows: Iterable[Row]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| measurement | value | share | goal | |", "| --- | ---: | ---: | ---: | --- |"]
    return [*lines, *(row.line() for row in rows)]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _number(value: float) -> str:
    """Return three digits, or all of a large number."""
    return f"{value:,.0f}" if value >= ALL_DIGITS_FROM else f"{value:.3g}"
