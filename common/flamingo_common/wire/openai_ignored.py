"""Parameters of OpenAI's API that are validated and then ignored.

They label a request, or choose between options of which this server has only one, so
ignoring them does not change the response. Parameters that would change it are in
`flamingo_common.wire.openai_unsupported`.

Pure.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_METADATA = 16
MAX_OPTIONS = 16
Name = Annotated[str, Field(max_length=256)]


class IgnoredParameters(BaseModel):
    """Parameters that have no effect; their limits are OpenAI's, where it documents any."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    user: Name | None = None
    """Accepted for compatibility; has no effect."""
    safety_identifier: Name | None = None
    """Accepted for compatibility; has no effect."""
    prompt_cache_key: Name | None = None
    """Accepted for compatibility; prefixes are cached automatically."""
    prompt_cache_retention: Name | None = None
    """Accepted for compatibility; has no effect."""
    prompt_cache_options: Annotated[dict[str, Any], Field(max_length=MAX_OPTIONS)] | None = None
    """Accepted for compatibility; has no effect."""
    metadata: (
        Annotated[
            dict[
                Annotated[str, Field(max_length=64)],
                Annotated[str, Field(max_length=512)],
            ],
            Field(max_length=MAX_METADATA),
        ]
        | None
    ) = None
    """Accepted for compatibility; has no effect."""
    service_tier: Literal["auto", "default"] | None = None
    """Accepted for compatibility; there is only one tier."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """Accepted for compatibility; has no effect."""
    parallel_tool_calls: bool | None = None
    """Accepted for compatibility; has no effect."""
    store: Annotated[bool, Field(json_schema_extra={"const": False})] | None = None
    """Responses are never stored; `true` is rejected."""
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    """The model generates text only."""
    reasoning_effort: Literal["none"] | None = None
    """The model does not reason before it answers."""
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    """Tools are not supported: only an empty list is accepted."""
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    """Functions are not supported: only an empty list is accepted."""
    tool_choice: Literal["none", "auto"] | None = None
    """Accepted for compatibility; there are no tools."""
    function_call: Literal["none", "auto"] | None = None
    """Accepted for compatibility; there are no functions."""
