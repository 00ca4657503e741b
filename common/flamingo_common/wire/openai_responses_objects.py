"""Response bodies and events of `/v1/responses`, OpenAI's Responses API.

Fields that describe what this server does not have are left out where clients allow it.

Pure.
"""

from typing import Any, Literal

from pydantic import Field

from flamingo_common.wire.responses import (
    AudioReference,
    AudioUsage,
    RequestMetrics,
    ResponseBody,
    TokenLogprob,
    is_none,
)

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed"]


class InputTokensDetails(ResponseBody):
    """Input tokens by kind."""

    audio_tokens: int = 0
    text_tokens: int = 0
    cached_tokens: int = 0
    """Tokens whose KV states were cached."""
    cache_write_tokens: int = 0
    """Always 0: what is written to the caches is not counted."""


class OutputTokensDetails(ResponseBody):
    """Output tokens by kind."""

    reasoning_tokens: int = 0


class ResponsesUsage(AudioUsage):
    """Tokens and audio that a request used."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class OutputText(ResponseBody):
    """Text of the answer."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = Field(default_factory=list)
    """Always empty."""
    logprobs: list[TokenLogprob] = Field(default_factory=list)
    """Log probabilities of the tokens, if they were requested."""


class SummaryText(ResponseBody):
    """Text of the reasoning."""

    type: Literal["summary_text"] = "summary_text"
    text: str


class OutputReasoning(ResponseBody):
    """What the model has thought before it answered; only of checkpoints that do."""

    type: Literal["reasoning"] = "reasoning"
    id: str
    status: ItemStatus
    summary: list[SummaryText]
    """All of the reasoning, in one part."""


class OutputMessage(ResponseBody):
    """The answer, as text."""

    type: Literal["message"] = "message"
    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class OutputCall(ResponseBody):
    """The answer, as a call of a function."""

    type: Literal["function_call"] = "function_call"
    id: str
    call_id: str
    name: str
    arguments: str
    """JSON text; incomplete if the status is `incomplete`."""
    status: ItemStatus


OutputItem = OutputReasoning | OutputMessage | OutputCall


class IncompleteDetails(ResponseBody):
    """Why an answer is incomplete."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseFault(ResponseBody):
    """Why a stream has failed."""

    code: str
    message: str


class ReasoningConfig(ResponseBody):
    """How the model reasons: not at all."""

    effort: None = None
    summary: None = None


class Response(ResponseBody):
    """Response of `POST /v1/responses`."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: ResponseStatus
    background: Literal[False] = False
    error: ResponseFault | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool = True
    """As in the request."""
    previous_response_id: None = None
    reasoning: ReasoningConfig = ReasoningConfig()
    service_tier: Literal["default"] = "default"
    store: Literal[False] = False
    """Always false: nothing is stored."""
    temperature: float
    """That of the request or the checkpoint; 0 is greedy decoding."""
    text: dict[str, Any]
    tool_choice: Any
    tools: list[Any]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"] = "disabled"
    usage: ResponsesUsage | None = None
    user: None = None
    metadata: dict[str, str]
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class ResponseEvent(ResponseBody):
    """One event of a stream, by its type; OpenAI's API reference describes each."""

    type: Literal[
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
        "response.incomplete",
    ]
    sequence_number: int
    response: Response | None = Field(default=None, exclude_if=is_none)
    """In the first events and in the last."""
    output_index: int | None = Field(default=None, exclude_if=is_none)
    item_id: str | None = Field(default=None, exclude_if=is_none)
    content_index: int | None = Field(default=None, exclude_if=is_none)
    summary_index: int | None = Field(default=None, exclude_if=is_none)
    item: OutputItem | None = Field(default=None, exclude_if=is_none)
    part: OutputText | SummaryText | None = Field(default=None, exclude_if=is_none)
    delta: str | None = Field(default=None, exclude_if=is_none)
    text: str | None = Field(default=None, exclude_if=is_none)
    name: str | None = Field(default=None, exclude_if=is_none)
    arguments: str | None = Field(default=None, exclude_if=is_none)
    logprobs: list[TokenLogprob] | None = Field(default=None, exclude_if=is_none)
