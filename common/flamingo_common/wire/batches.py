"""Batches as OpenAI's API has them: objects, states, lists, and the request that creates one.

Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from flamingo_common.wire.analysis import AnalyzeRequest
from flamingo_common.wire.decisions import DecisionRequest
from flamingo_common.wire.files import ExpiresAfter
from flamingo_common.wire.openai_embeddings import OpenAIEmbeddingRequest
from flamingo_common.wire.openai_responses import ResponsesRequest
from flamingo_common.wire.request_body import RequestBody
from flamingo_common.wire.requests import (
    CaptionRequest,
    ChatRequest,
    EmbeddingRequest,
)
from flamingo_common.wire.responses import ResponseBody

COMPLETION_WINDOW_S = 24 * 3600
MAX_BATCH_PAGE, DEFAULT_BATCH_PAGE = 100, 20
BATCH_REQUESTS: Mapping[str, type[RequestBody]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/responses": ResponsesRequest,
    "/v1/embeddings": OpenAIEmbeddingRequest,
    "/v1/decisions": DecisionRequest,
    "/v1/audio/captions": CaptionRequest,
    "/v1/audio/embeddings": EmbeddingRequest,
    "/v1/audio/analyze": AnalyzeRequest,
}
"""What each line of a batch can request, with the type of its body."""
Endpoint = Literal[
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/decisions",
    "/v1/audio/captions",
    "/v1/audio/embeddings",
    "/v1/audio/analyze",
]
BatchStatus = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]


class RequestCounts(ResponseBody):
    """Lines of a batch by outcome."""

    total: int
    completed: int
    failed: int


class BatchFault(ResponseBody):
    """Why a batch was not accepted."""

    code: str
    line: int | None = None
    """Number of the line in the input file; the first is 1."""
    message: str
    param: str | None = None


class BatchFaults(ResponseBody):
    """All faults of an input file."""

    object: Literal["list"] = "list"
    data: list[BatchFault]


class InputTokenDetails(ResponseBody):
    """Input tokens by kind."""

    cached_tokens: int = 0


class OutputTokenDetails(ResponseBody):
    """Output tokens by kind."""

    reasoning_tokens: int = 0


class BatchUsage(ResponseBody):
    """Tokens of all lines that were answered."""

    input_tokens: int = 0
    input_tokens_details: InputTokenDetails = InputTokenDetails()
    output_tokens: int = 0
    output_tokens_details: OutputTokenDetails = OutputTokenDetails()
    total_tokens: int = 0


class Batch(ResponseBody):
    """A batch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchFaults | None = None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: BatchStatus
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None = None


class BatchList(ResponseBody):
    """One page of the caller's batches."""

    object: Literal["list"] = "list"
    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


class BatchRequest(RequestBody):
    """Request body of `POST /v1/batches`."""

    input_file_id: str = Field(min_length=1, max_length=64)
    """Id of a file with the purpose `batch`: one request a line, as JSON."""
    endpoint: Endpoint
    """The `url` of every line."""
    completion_window: Literal["24h"]
    """Time after which lines without an answer expire."""
    metadata: dict[MetadataKey, MetadataValue] | None = Field(default=None, max_length=16)
    """Up to 16 names and values, which the batch carries."""
    output_expires_after: ExpiresAfter | None = None
    """When the batch's output and error files are deleted; default: 30 days."""


class BatchQuery(RequestBody):
    """Query of `GET /v1/batches`."""

    after: str | None = None
    """Id of the last batch of the page before."""
    limit: int = Field(default=DEFAULT_BATCH_PAGE, ge=1, le=MAX_BATCH_PAGE)
    """Batches of a page."""
    order: Literal["asc", "desc"] = "desc"
    """By creation: `desc` has the newest first."""
