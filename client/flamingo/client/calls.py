"""What each method of the client sends, and how its response is parsed.

Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flamingo.client import fields, results
from flamingo.client.fields import RequestFields
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo_common.wire import responses
from flamingo_common.wire.decisions import Decision

CHAT = "/v1/chat/completions"
CAPTIONS = "/v1/audio/captions"
EMBEDDINGS = "/v1/audio/embeddings"
ANALYZE = "/v1/audio/analyze"
DECISIONS = "/v1/decisions"

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One POST."""

    path: str
    fields: RequestFields
    parse: Callable[[bytes], T]


def caption(**options: Any) -> Call[responses.Caption]:
    """Return a request for a caption; options that are None are not sent."""
    body = fields.without_unset(**options)
    return Call(CAPTIONS, body, responses.Caption.model_validate_json)


def embedding(**options: Any) -> Call[Embedding]:
    """Return a request for an embedding; options that are None are not sent."""
    body = fields.without_unset(encoding_format="base64", **options)
    return Call(EMBEDDINGS, body, results.parse_embedding)


def analysis(**options: Any) -> Call[Analysis]:
    """Return a request for an analysis; options that are None are not sent.

    With questions, an embedding is requested by its options alone.
    """
    body = fields.without_unset(**options)
    if "questions" not in body or not {"layer", "pooling"}.isdisjoint(body):
        body["encoding_format"] = "base64"
    return Call(ANALYZE, body, results.parse_analysis)


def chat(messages: fields.Messages, **options: Any) -> Call[Reply]:
    """Return a request for a reply; options that are None are not sent."""
    body = fields.without_unset(messages=list(messages), **options)
    return Call(CHAT, body, Reply.model_validate_json)


def decisions(questions: Sequence[Mapping[str, Any]], **options: Any) -> Call[Decision]:
    """Return a request for decisions; options that are None are not sent."""
    body = fields.without_unset(questions=[dict(each) for each in questions], **options)
    return Call(DECISIONS, body, Decision.model_validate_json)
