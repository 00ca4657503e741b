"""What a pod answers. OpenAI's shapes where OpenAI has one.

Pure.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flamingo_common.wire.requests import Layer, Pooling

METRICS_HEADER = "x-flamingo-metrics"
FinishReason = Literal["stop", "length"]


def is_none(value: object) -> bool:
    """Return whether a field has nothing to say."""
    return value is None


def is_false(value: object) -> bool:
    """Return whether a field says only that nothing unusual happened."""
    return value is False


class ResponseBody(BaseModel):
    """Base: a client reads answers of a newer server too."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class PromptTokensDetails(ResponseBody):
    """What the prompt's tokens are."""

    audio_tokens: int = 0
    text_tokens: int = 0
    cached_tokens: int = 0


class AudioUsage(ResponseBody):
    """What was heard."""

    audio_seconds: float
    """Decoded seconds of audio."""
    audio_truncated: bool = Field(default=False, exclude_if=is_false)
    """Whether there was more, left out because the request said `truncate`."""
    truncated_seconds: float | None = Field(default=None, exclude_if=is_none)
    """How much more, by the file's header: it is not decoded. None if that cannot be right."""


class Usage(AudioUsage):
    """What a request took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class RequestMetrics(ResponseBody):
    """How long an answer took, for who asks for it with `METRICS_HEADER`."""

    time_to_first_token_ms: float
    """From a decoded clip to the first token."""
    queue_time_ms: float
    generation_time_ms: float
    """From the first token to the last."""
    mean_itl_ms: float | None
    """Between two tokens of a choice, on average; null for fewer than two."""
    tokens_per_second: float | None
    audio_decode_ms: float
    compute_ms: float
    """The request's share of the engine's time."""


class AssistantMessage(ResponseBody):
    """The answer's words."""

    role: Literal["assistant"] = "assistant"
    content: str


class TopLogprob(ResponseBody):
    """A token that might have come, and how likely the model held it."""

    token: str
    """Its own text; bytes that are no whole character read as U+FFFD."""
    logprob: float
    bytes: list[int] | None
    """None for an id that the tokenizer has no token for."""


class TokenLogprob(TopLogprob):
    """A token that came."""

    top_logprobs: list[TopLogprob]
    """Likeliest first; as many as were asked for."""


class Logprobs(ResponseBody):
    """One entry for each token of the answer, end-of-sequence left out."""

    content: list[TokenLogprob]
    refusal: None = None


class Choice(ResponseBody):
    """One of the answers."""

    index: int = 0
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: Logprobs | None = None


class ChatCompletion(ResponseBody):
    """`POST /v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class Delta(ResponseBody):
    """What a chunk adds; what it does not add is left out, as OpenAI leaves it out."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=is_none)
    content: str | None = Field(default=None, exclude_if=is_none)


class ChunkChoice(ResponseBody):
    """A chunk's part of one of the answers."""

    index: int = 0
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: Logprobs | None = None


class ChatCompletionChunk(ResponseBody):
    """One event of a chat stream; the one with usage has no choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class Caption(ResponseBody):
    """`POST /v1/audio/captions`."""

    id: str
    object: Literal["audio.caption"] = "audio.caption"
    created: int
    model: str
    caption: str
    finish_reason: FinishReason
    usage: Usage
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class CaptionChunk(ResponseBody):
    """One event of a caption or analysis stream; the last one has the reason and the usage."""

    id: str
    object: Literal["audio.caption.chunk"] = "audio.caption.chunk"
    created: int
    model: str
    delta: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)
    embedding: "EmbeddingData | None" = Field(default=None, exclude_if=is_none)
    """Only in the last event of an analysis."""


class EmbeddingData(ResponseBody):
    """One clip's embedding: rows of `shape[1]` float32 values, row-major."""

    object: Literal["embedding"] = "embedding"
    index: int = 0
    embedding: list[list[float]] | str
    """Rows of numbers, or base64 of little-endian float32."""
    shape: tuple[int, int]
    dtype: Literal["float32"] = "float32"
    layer: Layer
    pooling: Pooling
    frame_timestamps: list[float] | None = None
    """Where each frame starts, in seconds; None when pooled."""


class EmbeddingUsage(AudioUsage):
    """What an embedding took."""

    prompt_tokens: int
    total_tokens: int
    num_frames: int


class EmbeddingList(ResponseBody):
    """`POST /v1/audio/embeddings`."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[EmbeddingData]
    usage: EmbeddingUsage


class OpenAIEmbedding(ResponseBody):
    """One clip's embedding, pooled to one row."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """Numbers, or base64 of little-endian float32."""


class OpenAIEmbeddingList(ResponseBody):
    """`POST /v1/embeddings`."""

    object: Literal["list"] = "list"
    data: list[OpenAIEmbedding]
    model: str
    usage: EmbeddingUsage


class Analysis(ResponseBody):
    """`POST /v1/audio/analyze`."""

    id: str
    object: Literal["audio.analysis"] = "audio.analysis"
    created: int
    model: str
    caption: str
    finish_reason: FinishReason
    embedding: EmbeddingData
    usage: Usage
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class ModelCard(ResponseBody):
    """One model served, with what a client must know of it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    max_audio_seconds: float
    context_tokens: int
    embedding_dimensions: dict[Layer, int]
    random_weights: bool = False
    """True for the built-in models: their words mean nothing."""
    commit: str | None = None
    """The hub's commit that is served; None for a folder or a built-in model."""


class ModelList(ResponseBody):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


def to_json_dict(body: ResponseBody) -> dict[str, Any]:
    """Return `body` as a JSON-ready dict, `null` fields kept as OpenAI keeps them."""
    return body.model_dump(mode="json")


class Health(ResponseBody):
    """`GET /health`, and its two halves."""

    status: str
    ready: int | None = Field(default=None, exclude_if=is_none)
    """Only of a router: how many of its endpoints take work."""
    endpoints: int | None = Field(default=None, exclude_if=is_none)


class Version(ResponseBody):
    """`GET /version`."""

    version: str
