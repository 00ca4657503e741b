"""Files and batches as the database has them, and as OpenAI's objects.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_common.wire import batches, files

STATUSES: tuple[batches.BatchStatus, ...] = (
    "validating",
    "in_progress",
    "finalizing",
    "cancelling",
    "completed",
    "failed",
    "expired",
    "cancelled",
)
ACTIVE: tuple[batches.BatchStatus, ...] = STATUSES[:4]
"""States in which there is work left."""
DEFAULT_EXPIRY_S = 30 * 24 * 3600
"""After which inputs and results of batches are deleted, as with OpenAI; clips are kept."""
CANCELLABLE = frozenset({"validating", "in_progress"})


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """A line of an input file: where it is, and when it is its turn."""

    position: int
    number: int
    start: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file; `owner` is the name of the API key that it belongs to, "" without keys."""

    id: str
    owner: str
    purpose: files.Purpose
    filename: str
    num_bytes: int
    created_at: int
    expires_at: int | None

    def to_object(self) -> files.FileObject:
        """Return the file as OpenAI's API shows it."""
        return files.FileObject(
            id=self.id,
            bytes=self.num_bytes,
            created_at=self.created_at,
            expires_at=self.expires_at,
            filename=self.filename,
            purpose=self.purpose,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of answered lines."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A batch; times are seconds since 1970."""

    id: str
    owner: str
    endpoint: str
    input_file_id: str
    status: batches.BatchStatus
    created_at: int
    expires_at: int
    times: Mapping[str, int]
    """When the batch entered each later state, by OpenAI's name: `in_progress_at` …"""
    total: int
    completed: int
    failed: int
    usage: Usage
    metadata: Mapping[str, str] | None
    faults: list[dict[str, Any]] | None
    output_file_id: str | None
    error_file_id: str | None
    output_expires_after_s: int

    @property
    def is_active(self) -> bool:
        """Whether there is work left."""
        return self.status in ACTIVE

    def to_object(self) -> batches.Batch:
        """Return the batch as OpenAI's API shows it."""
        found = [batches.BatchFault(**fault) for fault in self.faults or ()]
        return batches.Batch(
            id=self.id,
            endpoint=self.endpoint,
            errors=batches.BatchFaults(data=found) if found else None,
            input_file_id=self.input_file_id,
            status=self.status,
            output_file_id=self.output_file_id,
            error_file_id=self.error_file_id,
            created_at=self.created_at,
            expires_at=self.expires_at,
            **self.times,
            request_counts=batches.RequestCounts(
                total=self.total, completed=self.completed, failed=self.failed
            ),
            usage=_usage_object(self.usage),
            metadata=None if self.metadata is None else dict(self.metadata),
        )


def _usage_object(usage: Usage) -> batches.BatchUsage:
    return batches.BatchUsage(
        input_tokens=usage.input_tokens,
        input_tokens_details=batches.InputTokenDetails(cached_tokens=usage.cached_tokens),
        output_tokens=usage.output_tokens,
        output_tokens_details=batches.OutputTokenDetails(reasoning_tokens=usage.reasoning_tokens),
        total_tokens=usage.input_tokens + usage.output_tokens,
    )
