"""What a caller may ask for, as keywords, and the JSON it becomes.

A keyword left out, or None, is not sent: the server's default holds. The server
judges the values; it lists every fault in one answer.

Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

Fields = Mapping[str, Any]
Messages = Sequence[Mapping[str, Any]]


class Sampling(TypedDict, total=False):
    """Sampling parameters, documented at `flamingo_common.wire.requests.GenerationOptions`."""

    model: str | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: Mapping[str, float] | None
    response_format: Mapping[str, Any] | None
    seed: int | None
    stop: str | list[str] | None
    truncate: bool | None


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def question(words: str, *, system: str | None) -> list[dict[str, str]]:
    """Return the messages that ask `words` once."""
    turns = [{"role": "user", "content": words}]
    return [{"role": "system", "content": system}, *turns] if system is not None else turns
