"""Response bodies, in OpenAI's format where OpenAI has one.

Pure.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flamingo_common.wire.requests import Layer, Pooling

METRICS_HEADER = "x-flamingo-metrics"
"""Request header that adds `metrics` to the response."""
FinishReason = Literal["stop", "length"]
ChatFinishReason = Literal["stop", "length", "tool_calls", "function_call"]


def is_none(value: object) -> bool:
    """Return whether a field is unset, so that it is omitted."""
    return value is None


def is_false(value: object) -> bool:
    """Return whether a flag is unset, so that it is omitted."""
    return value is False


def is_zero(value: object) -> bool:
    """Return whether an amount is zero, so that it is omitted."""
    return value == 0


class ResponseBody(BaseModel):
    """Base of all response bodies: a client ignores the fields of a newer server."""

    model_config = ConfigDict(
        extra="ignore",
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,  # a field without exclude_if is sent
    )


class AudioReference(ResponseBody):
    """The clip of a request."""

    id: str
    """Use the clip again by this id, for as long as it is held."""


class PromptTokensDetails(ResponseBody):
    """Prompt tokens by kind."""

    audio_tokens: int = 0
    text_tokens: int = 0
    cached_tokens: int = 0
    """Tokens whose KV states were cached."""


class CompletionTokensDetails(ResponseBody):
    """Generated tokens by kind."""

    reasoning_tokens: int = 0
    """Tokens of what the model has thought before it answered."""


class AudioUsage(ResponseBody):
    """Seconds of audio that were processed."""

    audio_seconds: float
    """Decoded seconds of audio."""
    audio_start_seconds: float = Field(default=0.0, exclude_if=is_zero)
    """Where the part that was processed begins in the clip."""
    audio_truncated: bool = Field(default=False, exclude_if=is_false)
    """Whether the end of the clip was cut off, because the request sets `truncate`."""
    truncated_seconds: float | None = Field(default=None, exclude_if=is_none)
    """Seconds that were cut off, according to the file's header; null if it is implausible."""
    audio_missing_seconds: float = Field(default=0.0, exclude_if=is_zero)
    """Seconds of audio that the file has lost: inside the clip there is silence instead."""

    @property
    def audio_end_seconds(self) -> float:
        """Where the part that was processed ends in the clip."""
        return self.audio_start_seconds + self.audio_seconds


class Usage(AudioUsage):
    """Tokens and audio that a request used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails | None = Field(
        default=None, exclude_if=is_none
    )
    """Only of an answer with reasoning."""


class RequestMetrics(ResponseBody):
    """Timings of a request, returned if it has the header `x-flamingo-metrics`."""

    time_to_first_token_ms: float
    """From the decoded clip to the first token."""
    queue_time_ms: float
    """Time that the request waited in the engine's queue."""
    generation_time_ms: float
    """From the first token to the last one."""
    mean_itl_ms: float | None
    """Mean inter-token latency of a choice; null for fewer than two tokens."""
    tokens_per_second: float | None
    """Generated tokens per second from the decoded clip on; null for fewer than two tokens."""
    audio_decode_ms: float
    """Time to decode the audio."""
    compute_ms: float
    """The request's share of the engine's compute time."""


class GeneratedCall(ResponseBody):
    """A call that the model generated."""

    name: str
    arguments: str
    """JSON text; incomplete if the finish reason is `length`."""


class GeneratedToolCall(ResponseBody):
    """A call of a tool that the model generated."""

    id: str
    type: Literal["function"] = "function"
    function: GeneratedCall


class AssistantMessage(ResponseBody):
    """The generated message."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    """The text, before any calls; null if the answer has only calls."""
    reasoning_content: str | None = Field(default=None, exclude_if=is_none)
    """What the model has thought before it answered; only of checkpoints that do."""
    tool_calls: list[GeneratedToolCall] | None = Field(default=None, exclude_if=is_none)
    """The call that `tool_choice` demands, or those that the model has made."""
    function_call: GeneratedCall | None = Field(default=None, exclude_if=is_none)
    """The call that `function_call` demands, or that the model has made."""


class TopLogprob(ResponseBody):
    """A candidate token and its log probability."""

    token: str
    """Text of the token; an incomplete character is U+FFFD."""
    logprob: float
    bytes: list[int] | None
    """UTF-8 bytes of the token; null for an id without a token."""


class TokenLogprob(TopLogprob):
    """A generated token, its log probability and the alternatives."""

    top_logprobs: list[TopLogprob]
    """The most likely tokens at this position, most likely first."""


class Logprobs(ResponseBody):
    """Log probabilities of the generated tokens, without the end-of-sequence token."""

    content: list[TokenLogprob]
    refusal: None = None


class Choice(ResponseBody):
    """One of the generated choices."""

    index: int = 0
    message: AssistantMessage
    finish_reason: ChatFinishReason
    stop_reason: int | str | None = Field(default=None, exclude_if=is_none)
    """The one of `stop_token_ids` or `stop` that ended the text."""
    logprobs: Logprobs | None = None


class ChatCompletion(ResponseBody):
    """Response of `POST /v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class CallDelta(ResponseBody):
    """What a chunk adds to a call."""

    name: str | None = Field(default=None, exclude_if=is_none)
    """Only in the first chunk of the call."""
    arguments: str


class ToolCallDelta(ResponseBody):
    """What a chunk adds to a call of a tool; `id` and `type` are only in its first one."""

    index: int = 0
    id: str | None = Field(default=None, exclude_if=is_none)
    type: Literal["function"] | None = Field(default=None, exclude_if=is_none)
    function: CallDelta


class Delta(ResponseBody):
    """What a chunk adds to the message; other fields are omitted, as in OpenAI's API."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=is_none)
    content: str | None = Field(default=None, exclude_if=is_none)
    reasoning_content: str | None = Field(default=None, exclude_if=is_none)
    tool_calls: list[ToolCallDelta] | None = Field(default=None, exclude_if=is_none)
    function_call: CallDelta | None = Field(default=None, exclude_if=is_none)


class ChunkChoice(ResponseBody):
    """A chunk of one of the choices."""

    index: int = 0
    delta: Delta
    finish_reason: ChatFinishReason | None = None
    stop_reason: int | str | None = Field(default=None, exclude_if=is_none)
    """The one of `stop_token_ids` or `stop` that ended the text; in the last chunk."""
    logprobs: Logprobs | None = None


class ChatCompletionChunk(ResponseBody):
    """One event of a chat stream; the event with the usage has no choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held; in a stream only in the last event."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class Caption(ResponseBody):
    """Response of `POST /v1/audio/captions`."""

    id: str
    object: Literal["audio.caption"] = "audio.caption"
    created: int
    model: str
    caption: str
    finish_reason: FinishReason
    usage: Usage
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class CaptionChunk(ResponseBody):
    """One event of a caption stream; the last has `finish_reason` and `usage`."""

    id: str
    object: Literal["audio.caption.chunk"] = "audio.caption.chunk"
    created: int
    model: str
    delta: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held; in a stream only in the last event."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class EmbeddingData(ResponseBody):
    """The embedding of one clip: `shape[0]` rows of `shape[1]` float32 values."""

    object: Literal["embedding"] = "embedding"
    index: int = 0
    embedding: list[list[float]] | str
    """Rows of numbers, or base64 of little-endian float32 in row-major order."""
    shape: tuple[int, int]
    dtype: Literal["float32"] = "float32"
    layer: Layer
    pooling: Pooling
    frame_timestamps: list[float] | None = None
    """Start of each frame in seconds; null for a pooled embedding."""


class EmbeddingUsage(AudioUsage):
    """Tokens and audio that an embedding used."""

    prompt_tokens: int
    total_tokens: int
    num_frames: int


class EmbeddingList(ResponseBody):
    """Response of `POST /v1/audio/embeddings`."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[EmbeddingData]
    usage: EmbeddingUsage
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""


class OpenAIEmbedding(ResponseBody):
    """The embedding of one clip, pooled to one vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """A list of numbers, or base64 of little-endian float32."""
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""


class OpenAIEmbeddingList(ResponseBody):
    """Response of `POST /v1/embeddings`."""

    object: Literal["list"] = "list"
    data: list[OpenAIEmbedding]
    model: str
    usage: EmbeddingUsage


CREATED_UNKNOWN_S = 0
"""`created` of every model: a checkpoint does not say when it was made, and the time of loading
would differ between the pods behind one router."""


class ModelCard(ResponseBody):
    """A served model and its limits."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Always 0: unknown, and the same for all pods."""
    owned_by: str
    max_audio_seconds: float
    """Longest clip that is accepted without `truncate`."""
    context_tokens: int
    """Maximum number of prompt and generated tokens together."""
    max_model_len: int
    """The same as `context_tokens`, under vLLM's name."""
    embedding_dimensions: dict[Layer, int]
    """Embedding size by layer."""
    random_weights: bool = False
    """Whether the weights are random, as those of the built-in models: the text is meaningless."""
    commit: str | None = None
    """Commit of the Hugging Face repository; null for a local directory or a built-in model."""
    reasoning: bool = False
    """Whether the model reasons before it answers, for which there is `thinking_token_budget`."""


class ModelList(ResponseBody):
    """Response of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


def to_json_dict(body: ResponseBody) -> dict[str, Any]:
    """Return `body` as a JSON-compatible dict, with `null` fields as in OpenAI's API."""
    return body.model_dump(mode="json")


class Health(ResponseBody):
    """Response of the health checks."""

    status: str
    ready: int | None = Field(default=None, exclude_if=is_none)
    """Number of endpoints that are ready; only from a router."""
    endpoints: int | None = Field(default=None, exclude_if=is_none)
    """Number of known endpoints; only from a router."""


class Version(ResponseBody):
    """Response of `GET /version`."""

    version: str
