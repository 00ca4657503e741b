"""One route of the OpenAPI document: its requests, responses and errors.

Pure.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from flamingo_common import errors
from flamingo_common.wire.request_body import RequestBody

Tag = Literal["Music", "OpenAI", "Batches", "Service", "Pages"]
ErrorTypes = Collection[type[errors.FlamingoError]]
UNDOCUMENTED_ERRORS = frozenset({errors.NotFound, errors.MethodNotAllowed})
"""Errors of paths and methods that do not exist, which no route documents."""
INFERENCE_ERRORS: ErrorTypes = [
    kind for kind in errors.BY_CODE.values() if kind not in UNDOCUMENTED_ERRORS
]
"""Errors of the inference routes."""
AUTH_ERRORS: ErrorTypes = [kind for kind in INFERENCE_ERRORS if kind.status in {401, 403}]
"""Errors of routes that require an API key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path, with its request, responses and errors."""

    path: str
    tag: Tag
    summary: str
    method: Literal["GET", "POST", "DELETE"] = "GET"
    response: type[BaseModel] | None = None
    """Type of the JSON response; None if only `media_types` are returned."""
    media_types: Collection[str] = ()
    """Media types that the route returns instead of JSON, or that a client can request."""
    event: type[BaseModel] | None = None
    """Type of each event of a streamed response."""
    request: type[RequestBody] | None = None
    """Type of a body that is JSON, or a form with a clip."""
    json_body: type[RequestBody] | None = None
    """Type of a body that is JSON only."""
    upload: type[RequestBody] | None = None
    """Type of the fields of a form with a file of any kind."""
    query: type[RequestBody] | None = None
    """Type of the parameters in the URL's query."""
    file_replaces: Collection[str] = ()
    """Fields that the `file` part of a form replaces."""
    form_prompt_field: str | None = None
    """Field with the prompt about the file, which only a form has."""
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error_types: ErrorTypes = ()
    not_ready: type[BaseModel] | None = None
    """Type of the 503 response of a health check, which is not an error object."""
    redirects_to: str | None = None
    """Target of a redirect."""
    ends_with_done: bool = True
    """Whether `[DONE]` ends a stream; otherwise its last event says so by its type."""

    @property
    def body(self) -> type[RequestBody] | None:
        """Type of a body in JSON."""
        return self.request or self.json_body
