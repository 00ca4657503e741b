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
from flamingo_common.wire.openai_embeddings import VectorRequest
from flamingo_common.wire.requests import (
    AnalyzeRequest,
    Body,
    CaptionRequest,
    ChatRequest,
    EmbeddingRequest,
)

Tag = Literal["Music", "OpenAI", "Service", "Pages"]
Faults = Collection[type[errors.FlamingoError]]
ELSEWHERE = frozenset({errors.NotFound, errors.MethodNotAllowed})
"""What no documented route says of itself."""
ANY: Faults = [kind for kind in errors.BY_CODE.values() if kind not in ELSEWHERE]
"""What work may be refused with."""
KEYED: Faults = [kind for kind in ANY if kind.status in {401, 403}]
"""What a caller is told who has no key, or one that may not do this."""
OF_GET: Faults = [*KEYED, *(kind for kind in ANY if not issubclass(kind, errors.BadRequest))]
HTML = "text/html"
NPY = "application/x-npy"
METRICS = "text/plain"
SILENCE = "UklGRrQBAABXQVZFZm10IBAAAAABAAEAoA8AAKAPAAABAAgAZGF0YZABAACA" + "gICA" * 133
"""A tenth of a second of nothing as WAV, in base64: so that every example can be tried."""
CLIP = {"data": SILENCE}
HEARD = {"type": "input_audio", "input_audio": {"data": SILENCE, "format": "wav"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    path: str
    tag: Tag
    summary: str
    method: Literal["GET", "POST"] = "GET"
    answer: type[BaseModel] | None = None
    """JSON of this type; None where `also` says it all."""
    also: Collection[str] = ()
    """Other media types that a client can ask for, or the only one."""
    events: type[BaseModel] | None = None
    """What each event of a stream holds."""
    request: type[Body] | None = None
    file_for: Collection[str] = ()
    """The fields that a form's part `file` stands in for."""
    own_words: str | None = None
    """A field that only a form has: what to ask about the file."""
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    faults: Faults = ()
    not_ready: type[BaseModel] | None = None
    """The body of 503 that is no error: the same as of 200."""
    leads_to: str | None = None
    """Where it redirects to, instead of answering."""


WORK = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        tag="OpenAI",
        summary="Answer a conversation, about one clip or about none",
        request=ChatRequest,
        answer=responses.ChatCompletion,
        events=responses.ChatChunk,
        file_for=("messages",),
        own_words="prompt",
        examples={
            "a question about a clip": {
                "messages": [
                    {
                        "role": "user",
                        "content": [HEARD, {"type": "text", "text": "What key is it in?"}],
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
        faults=ANY,
    ),
    Route(
        method="POST",
        path="/v1/embeddings",
        tag="OpenAI",
        summary="Embed clips, one vector each, as OpenAI's clients ask for it",
        request=VectorRequest,
        answer=responses.VectorList,
        file_for=("input", "messages"),
        examples={
            "a data: URL": {"input": f"data:audio/wav;base64,{SILENCE}"},
            "a list of parts": {"input": [HEARD], "encoding_format": "base64"},
        },
        faults=ANY,
    ),
    Route(
        method="POST",
        path="/v1/audio/captions",
        tag="Music",
        summary="Describe a clip",
        request=CaptionRequest,
        answer=responses.Caption,
        events=responses.CaptionChunk,
        file_for=("audio",),
        examples={"a short one": {"audio": CLIP, "style": "brief", "max_tokens": 8}},
        faults=ANY,
    ),
    Route(
        method="POST",
        path="/v1/audio/embeddings",
        tag="Music",
        summary="Embed a clip, 25 rows a second, or one",
        request=EmbeddingRequest,
        answer=responses.EmbeddingList,
        also=(NPY,),
        file_for=("audio",),
        examples={"one row": {"audio": CLIP, "pooling": "mean"}},
        faults=ANY,
    ),
    Route(
        method="POST",
        path="/v1/audio/analyze",
        tag="Music",
        summary="Describe and embed a clip that is encoded once",
        request=AnalyzeRequest,
        answer=responses.Analysis,
        events=responses.CaptionChunk,
        file_for=("audio",),
        examples={"both": {"audio": CLIP, "pooling": "mean", "max_tokens": 8}},
        faults=ANY,
    ),
)
MODELS = (
    Route(
        path="/v1/models",
        tag="OpenAI",
        summary="The model that is served, with its limits",
        answer=responses.ModelList,
        faults=OF_GET,
    ),
    Route(
        path="/v1/models/{id}",
        tag="OpenAI",
        summary="One model; an id may contain a slash",
        answer=responses.ModelCard,
        faults=[*OF_GET, errors.ModelNotFound],
    ),
)


HEALTH: Mapping[str, Faults] = {"/health": KEYED, "/health/ready": ()}


def _health(answer: type[BaseModel]) -> tuple[Route, ...]:
    """Return the two paths that say whether work is taken; of a pod also where loading stands."""
    return tuple(
        Route(
            path=path,
            tag="Service",
            summary="Whether work is taken",
            answer=answer,
            not_ready=answer,
            faults=faults,
        )
        for path, faults in HEALTH.items()
    )


STATE = (
    Route(
        path="/health/live",
        tag="Service",
        summary="Fails when the process must be replaced",
        answer=responses.Health,
        not_ready=responses.Health,
    ),
    Route(
        path="/version",
        tag="Service",
        summary="The release",
        answer=responses.Version,
        faults=KEYED,
    ),
    Route(path="/metrics", tag="Service", summary="For Prometheus", also=(METRICS,), faults=KEYED),
    Route(path="/openapi.json", tag="Service", summary="This document", also=("application/json",)),
)
PAGES = (
    Route(path="/", tag="Pages", summary="Leads to the page", leads_to="ui/"),
    Route(path="/ui", tag="Pages", summary="Leads to the page", leads_to="ui/"),
    Route(path="/ui/", tag="Pages", summary="The page: drop a song, ask about it", also=(HTML,)),
    Route(
        path="/ui/here.json",
        tag="Pages",
        summary="What else this server has",
        also=("application/json",),
    ),
    Route(
        path="/ui/{name}",
        tag="Pages",
        summary="The page's files",
        also=("*/*",),
        faults=[errors.NotFound],
    ),
    Route(path="/docs", tag="Pages", summary="Leads to this document, to read", leads_to="docs/"),
    Route(path="/docs/", tag="Pages", summary="This document, to read and to try", also=(HTML,)),
    Route(
        path="/docs/{name}",
        tag="Pages",
        summary="The files of the document's page",
        also=("*/*",),
        faults=[errors.NotFound],
    ),
)
SHARED = (*WORK, *MODELS, *STATE, *PAGES)
POD = (
    *SHARED,
    *_health(report.ReadyReport),
    Route(
        path="/stats",
        tag="Service",
        summary="The pod's load, as the router asks for it",
        answer=report.LoadReport,
        faults=KEYED,
    ),
)
ROUTER = (
    *SHARED,
    *_health(responses.Health),
    Route(
        path="/stats",
        tag="Service",
        summary="The same as /fleet",
        answer=report.FleetReport,
        faults=KEYED,
    ),
    Route(
        path="/fleet",
        tag="Service",
        summary="The pods and what they have left to do",
        answer=report.FleetReport,
        faults=KEYED,
    ),
)
