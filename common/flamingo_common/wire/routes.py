"""Describes all routes for the OpenAPI document; each service registers its own in `app.py`.

The OpenAPI document is generated from it.

Pure.
"""

from collections.abc import Mapping

from pydantic import BaseModel

from flamingo_common import errors
from flamingo_common.wire import answers, openai_responses_objects, report, responses
from flamingo_common.wire.analysis import AnalyzeRequest
from flamingo_common.wire.batch_routes import FILES_AND_BATCHES
from flamingo_common.wire.decisions import Decision, DecisionRequest
from flamingo_common.wire.openai_embeddings import OpenAIEmbeddingRequest
from flamingo_common.wire.openai_responses import ResponsesRequest
from flamingo_common.wire.requests import (
    CaptionRequest,
    ChatRequest,
    EmbeddingRequest,
)
from flamingo_common.wire.route import AUTH_ERRORS, INFERENCE_ERRORS, ErrorTypes, Route
from flamingo_common.wire.transcriptions import (
    AnyTranscription,
    TranscriptionEvent,
    TranscriptionRequest,
)

MODELS_ERRORS: ErrorTypes = [
    *AUTH_ERRORS,
    *(kind for kind in INFERENCE_ERRORS if not issubclass(kind, errors.BadRequest)),
]
HTML = "text/html"
NPY = "application/x-npy"
METRICS = "text/plain"
SILENCE = "UklGRrQBAABXQVZFZm10IBAAAAABAAEAoA8AAKAPAAABAAgAZGF0YZABAACA" + "gICA" * 133
"""A WAV file of 0.1 s of silence in base64, so that every example can be tried."""
AUDIO = {"data": SILENCE}
INPUT_AUDIO = {"type": "input_audio", "input_audio": {"data": SILENCE, "format": "wav"}}

SET_TEMPO = {
    "name": "set_tempo",
    "description": "Sets the tempo in beats per minute.",
    "parameters": {
        "type": "object",
        "properties": {"bpm": {"type": "integer", "minimum": 40, "maximum": 240}},
        "required": ["bpm"],
    },
}

QUESTIONS = [
    {"type": "predicate", "instructions": "There is a singing voice."},
    {
        "type": "choice",
        "name": "genre",
        "instructions": "Which genre is it?",
        "choices": [{"value": "rock"}, {"value": "jazz"}, {"value": "drum and bass"}],
    },
    {
        "type": "score",
        "instructions": "How energetic is it?",
        "levels": [{"label": "calm"}, {"label": "moderate"}, {"label": "energetic"}],
    },
]

INFERENCE = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        tag="OpenAI",
        summary="Create a chat completion about a clip, or about text only",
        request=ChatRequest,
        response=responses.ChatCompletion,
        event=responses.ChatCompletionChunk,
        file_replaces=("messages",),
        form_prompt_field="prompt",
        examples={
            "question about a clip": {
                "messages": [
                    {
                        "role": "user",
                        "content": [INPUT_AUDIO, {"type": "text", "text": "What key is it in?"}],
                    }
                ],
                "max_completion_tokens": 8,
            },
            "stream": {
                "messages": [{"role": "user", "content": "Name a genre."}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_completion_tokens": 8,
            },
            "one of several answers": {
                "messages": [{"role": "user", "content": "Rock or jazz?"}],
                "structured_outputs": {"choice": ["rock", "jazz"]},
            },
            "call of a function": {
                "messages": [{"role": "user", "content": "How fast is a waltz?"}],
                "tools": [{"type": "function", "function": SET_TEMPO}],
                "tool_choice": "required",
            },
        },
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/responses",
        tag="OpenAI",
        summary="Create a response, as in OpenAI's Responses API, without state",
        json_body=ResponsesRequest,
        response=openai_responses_objects.Response,
        event=openai_responses_objects.ResponseEvent,
        ends_with_done=False,
        examples={
            "question about a clip": {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            INPUT_AUDIO,
                            {"type": "input_text", "text": "What key is it in?"},
                        ],
                    }
                ],
                "max_output_tokens": 16,
            },
            "stream": {"input": "Name a genre.", "stream": True, "max_output_tokens": 16},
            "call of a function": {
                "input": "How fast is a waltz?",
                "tools": [{"type": "function", **SET_TEMPO}],
                "tool_choice": "required",
            },
        },
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/embeddings",
        tag="OpenAI",
        summary="Create one embedding vector per clip (OpenAI-compatible)",
        request=OpenAIEmbeddingRequest,
        response=responses.OpenAIEmbeddingList,
        file_replaces=("input", "messages"),
        examples={
            "data: URL": {"input": f"data:audio/wav;base64,{SILENCE}"},
            "list of audio parts": {"input": [INPUT_AUDIO], "encoding_format": "base64"},
        },
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/decisions",
        tag="OpenAI",
        summary="Answer questions about a clip, or about text, with probabilities",
        request=DecisionRequest,
        response=Decision,
        file_replaces=("input",),
        examples={
            "questions about a clip": {
                "input": [{"role": "user", "content": [INPUT_AUDIO]}],
                "questions": QUESTIONS,
            },
            "a question about text": {
                "input": "A waltz in G minor.",
                "questions": [{"type": "predicate", "instructions": "The metre is triple."}],
            },
        },
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/audio/transcriptions",
        tag="OpenAI",
        summary="Write the lyrics of a clip, as in OpenAI's transcription API",
        request=TranscriptionRequest,
        response=AnyTranscription,
        event=TranscriptionEvent,
        media_types=("text/plain", "application/x-subrip", "text/vtt"),
        file_replaces=("audio",),
        examples={"lyrics": {"audio": AUDIO, "language": "en", "max_tokens": 8}},
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/audio/captions",
        tag="Music",
        summary="Caption a clip",
        request=CaptionRequest,
        response=responses.Caption,
        event=responses.CaptionChunk,
        file_replaces=("audio",),
        examples={"brief caption": {"audio": AUDIO, "style": "brief", "max_tokens": 8}},
        error_types=INFERENCE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/audio/embeddings",
        tag="Music",
        summary="Embed a clip: 25 rows per second, or one row",
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
        summary="Answer several questions about a clip, or caption and embed it",
        request=AnalyzeRequest,
        response=answers.Analysis,
        event=answers.AnalysisChunk,
        file_replaces=("audio",),
        examples={
            "caption and embedding": {"audio": AUDIO, "pooling": "mean", "max_tokens": 8},
            "several questions": {
                "audio": AUDIO,
                "questions": [
                    {"name": "mood", "prompt": "What is the mood?", "max_tokens": 8},
                    {"name": "lyrics", "recipe": "lyrics", "max_tokens": 8},
                ],
            },
        },
        error_types=INFERENCE_ERRORS,
    ),
)
MODELS = (
    Route(
        path="/v1/models",
        tag="OpenAI",
        summary="List the served model and its limits",
        response=responses.ModelList,
        error_types=MODELS_ERRORS,
    ),
    Route(
        path="/v1/models/{id}",
        tag="OpenAI",
        summary="Get one model; the id can contain a slash",
        response=responses.ModelCard,
        error_types=[*MODELS_ERRORS, errors.ModelNotFound],
    ),
    Route(
        path="/v1/recipes",
        tag="Music",
        summary="List the recipes that questions can name",
        response=answers.RecipeList,
        error_types=MODELS_ERRORS,
    ),
)

HEALTH: Mapping[str, ErrorTypes] = {"/health": (), "/health/ready": ()}


def _health(response: type[BaseModel]) -> tuple[Route, ...]:
    """Return the two readiness routes; `response` is the type of both statuses."""
    return tuple(
        Route(
            path=path,
            tag="Service",
            summary="Readiness: whether requests are accepted",
            response=response,
            not_ready=response,
            error_types=error_types,
        )
        for path, error_types in HEALTH.items()
    )


STATUS = (
    Route(
        path="/health/live",
        tag="Service",
        summary="Liveness: fails if the process must be restarted",
        response=responses.Health,
        not_ready=responses.Health,
    ),
    Route(
        path="/version",
        tag="Service",
        summary="Version of the server",
        response=responses.Version,
        error_types=AUTH_ERRORS,
    ),
    Route(
        path="/metrics",
        tag="Service",
        summary="Metrics for Prometheus",
        media_types=(METRICS,),
        error_types=AUTH_ERRORS,
    ),
    Route(
        path="/openapi.json",
        tag="Service",
        summary="This OpenAPI document",
        media_types=("application/json",),
    ),
)
PAGES = (
    Route(path="/", tag="Pages", summary="Redirects to the web page", redirects_to="ui/"),
    Route(path="/ui", tag="Pages", summary="Redirects to the web page", redirects_to="ui/"),
    Route(path="/ui/", tag="Pages", summary="Web page to try the API", media_types=(HTML,)),
    Route(
        path="/ui/features.json",
        tag="Pages",
        summary="Features of this server, for the web page",
        media_types=("application/json",),
    ),
    Route(
        path="/ui/{name}",
        tag="Pages",
        summary="Files of the web page",
        media_types=("*/*",),
        error_types=[errors.NotFound],
    ),
    Route(
        path="/docs",
        tag="Pages",
        summary="Redirects to the API documentation",
        redirects_to="docs/",
    ),
    Route(path="/docs/", tag="Pages", summary="Interactive API documentation", media_types=(HTML,)),
    Route(
        path="/docs/{name}",
        tag="Pages",
        summary="Files of the API documentation",
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
        summary="Load report of the pod, as polled by the router",
        response=report.LoadReport,
        error_types=AUTH_ERRORS,
    ),
)
ROUTER = (
    *SHARED,
    *FILES_AND_BATCHES,
    *_health(responses.Health),
    Route(
        path="/stats",
        tag="Service",
        summary="Same as /fleet",
        response=report.FleetReport,
        error_types=AUTH_ERRORS,
    ),
    Route(
        path="/fleet",
        tag="Service",
        summary="State of the fleet: pods, their load, queue and arrivals",
        response=report.FleetReport,
        error_types=AUTH_ERRORS,
    ),
    Route(
        path="/quotas",
        tag="Service",
        summary="What each API key has spent of its limits, as polled by the other routers",
        response=report.QuotaReport,
        error_types=AUTH_ERRORS,
    ),
)
BATCHES = (
    *FILES_AND_BATCHES,
    *STATUS,
    *(route for route in PAGES if route.path.startswith("/docs")),
    *_health(responses.Health),
)
