"""Every route of a pod and of a router, once: what it takes, and what it answers.

The OpenAPI document is written from this table, with the types that validate.

Pure.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from flamingo_common import errors
from flamingo_common.wire import report, responses
from flamingo_common.wire.openai_embeddings import OpenAIEmbeddingRequest
from flamingo_common.wire.requests import (
    AnalyzeRequest,
    CaptionRequest,
    ChatRequest,
    EmbeddingRequest,
    RequestBody,
)

Tag = Literal["Music", "OpenAI", "Service", "Pages"]
ErrorTypes = Collection[type[errors.FlamingoError]]
UNDOCUMENTED_ERRORS = frozenset({errors.NotFound, errors.MethodNotAllowed})
"""What no documented route says of itself."""
INFERENCE_ERRORS: ErrorTypes = [
    kind for kind in errors.BY_CODE.values() if kind not in UNDOCUMENTED_ERRORS
]
"""What work may be refused with."""
AUTH_ERRORS: ErrorTypes = [kind for kind in INFERENCE_ERRORS if kind.status in {401, 403}]
"""What a caller is told who has no key, or one that may not do this."""
MODELS_ERRORS: ErrorTypes = [
    *AUTH_ERRORS,
    *(kind for kind in INFERENCE_ERRORS if not issubclass(kind, errors.BadRequest)),
]
HTML = "text/html"
NPY = "application/x-npy"
METRICS = "text/plain"
SILENCE = "UklGRrQBAABXQVZFZm10IBAAAAABAAEAoA8AAKAPAAABAAgAZGF0YZABAACA" + "gICA" * 133
"""A tenth of a second of nothing as WAV, in base64: so that every example can be tried."""
AUDIO = {"data": SILENCE}
INPUT_AUDIO = {"type": "input_audio", "input_audio": {"data": SILENCE, "format": "wav"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    path: str
    tag: Tag
    summary: str
    method: Literal["GET", "POST"] = "GET"
    response: type[BaseModel] | None = None
    """JSON of this type; None where `media_types` says it all."""
    media_types: Collection[str] = ()
    """Other media types that a client can ask for, or the only one."""
    event: type[BaseModel] | None = None
    """What each event of a stream holds."""
    request: type[RequestBody] | None = None
    file_replaces: Collection[str] = ()
    """The fields that a form's part `file` stands in for."""
    form_prompt_field: str | None = None
    """A field that only a form has: what to ask about the file."""
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error_types: ErrorTypes = ()
    not_ready: type[BaseModel] | None = None
    """The body of 503 that is no error: the same as of 200."""
    redirects_to: str | None = None
    """Where it redirects to, instead of answering."""


INFERENCE = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        tag="OpenAI",
        summary="Answer a conversation, about one clip or about none",
        request=ChatRequest,
        response=responses.ChatCompletion,
        event=responses.ChatCompletionChunk,
        file_replaces=("messages",),
        form_prompt_field="prompt",
        examples={
            "a question about a clip": {
                "messages": [
                    {
                        "role": "user",
                        "content": [INPUT_AUDIO, {"type": "text", "text": "What key is it in?"}],
                    }
                ],
                "max_completion_tokens": 8,
            },
            "a stream": {
                "messages": [{"role": "user", "content": "Name a genre."}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_completion_tokens": 8,
            },
        },
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/embeddings",
        tag="OpenAI",
        summary="Embed clips, one vector each, as OpenAI's clients ask for it",
        request=OpenAIEmbeddingRequest,
        response=responses.OpenAIEmbeddingList,
        file_replaces=("input", "messages"),
        examples={
            "a data: URL": {"input": f"data:audio/wav;base64,{SILENCE}"},
            "a list of parts": {"input": [INPUT_AUDIO], "encoding_format": "base64"},
        },
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/audio/captions",
        tag="Music",
        summary="Describe a clip",
        request=CaptionRequest,
        response=responses.Caption,
        event=responses.CaptionChunk,
        file_replaces=("audio",),
        examples={"a short one": {"audio": AUDIO, "style": "brief", "max_tokens": 8}},
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/audio/embeddings",
        tag="Music",
        summary="Embed a clip, 25 rows a second, or one",
        request=EmbeddingRequest,
        response=responses.EmbeddingList,
        media_types=(NPY,),
        file_replaces=("audio",),
        examples={"one row": {"audio": AUDIO, "pooling": "mean"}},
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/audio/analyze",
        tag="Music",
        summary="Describe and embed a clip that is encoded once",
        request=AnalyzeRequest,
        response=responses.Analysis,
        event=responses.CaptionChunk,
        file_replaces=("audio",),
        examples={"both": {"audio": AUDIO, "pooling": "mean", "max_tokens": 8}},
        error_types=INFERENCE_ERRORS,
    ),
)
MODELS = (
    Route(
        path="/v1/models",
        tag="OpenAI",
        summary="The model that is served, with its limits",
        response=responses.ModelList,
        error_types=MODELS_ERRORS,
    ),
    Route(
        path="/v1/models/{id}",
        tag="OpenAI",
        summary="One model; an id may contain a slash",
        response=responses.ModelCard,
        error_types=[*MODELS_ERRORS, errors.ModelNotFound],
    ),
)


HEALTH: Mapping[str, ErrorTypes] = {"/health": AUTH_ERRORS, "/health/ready": ()}


def _health(response: type[BaseModel]) -> tuple[Route, ...]:
    """Return the two paths that say whether work is taken; of a pod also where loading stands."""
    return tuple(
        Route(
            path=path,
            tag="Service",
            summary="Whether work is taken",
            response=response,
            not_ready=response,
            error_types=faults,
        )
        for path, faults in HEALTH.items()
    )


STATUS = (
    Route(
        path="/health/live",
        tag="Service",
        summary="Fails when the process must be replaced",
        response=responses.Health,
        not_ready=responses.Health,
    ),
    Route(
        path="/version",
        tag="Service",
        summary="The release",
        response=responses.Version,
        error_types=AUTH_ERRORS,
    ),
    Route(
        path="/metrics",
        tag="Service",
        summary="For Prometheus",
        media_types=(METRICS,),
        error_types=AUTH_ERRORS,
    ),
    Route(
        path="/openapi.json",
        tag="Service",
        summary="This document",
        media_types=("application/json",),
    ),
)
PAGES = (
    Route(path="/", tag="Pages", summary="Leads to the page", redirects_to="ui/"),
    Route(path="/ui", tag="Pages", summary="Leads to the page", redirects_to="ui/"),
    Route(
        path="/ui/", tag="Pages", summary="The page: drop a song, ask about it", media_types=(HTML,)
    ),
    Route(
        path="/ui/here.json",
        tag="Pages",
        summary="What else this server has",
        media_types=("application/json",),
    ),
    Route(
        path="/ui/{name}",
        tag="Pages",
        summary="The page's files",
        media_types=("*/*",),
        error_types=[errors.NotFound],
    ),
    Route(
        path="/docs", tag="Pages", summary="Leads to this document, to read", redirects_to="docs/"
    ),
    Route(
        path="/docs/", tag="Pages", summary="This document, to read and to try", media_types=(HTML,)
    ),
    Route(
        path="/docs/{name}",
        tag="Pages",
        summary="The files of the document's page",
        media_types=("*/*",),
        error_types=[errors.NotFound],
    ),
)
SHARED = (*INFERENCE, *MODELS, *STATUS, *PAGES)
POD = (
    *SHARED,
    *_health(report.ReadyReport),
    Route(
        path="/stats",
        tag="Service",
        summary="The pod's load, as the router asks for it",
        response=report.LoadReport,
        error_types=AUTH_ERRORS,
    ),
)
ROUTER = (
    *SHARED,
    *_health(responses.Health),
    Route(
        path="/stats",
        tag="Service",
        summary="The same as /fleet",
        response=report.FleetReport,
        error_types=AUTH_ERRORS,
    ),
    Route(
        path="/fleet",
        tag="Service",
        summary="The pods and what they have left to do",
        response=report.FleetReport,
        error_types=AUTH_ERRORS,
    ),
)
