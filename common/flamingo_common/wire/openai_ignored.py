"""Parameters of OpenAI's API that are taken, checked, and change nothing here.

A client that sets them gets what it asked for: they label a request, or choose
among things of which this server has one. Those that would change the answer
are in `flamingo_common.wire.openai_unsupported`.

Pure.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

MAX_METADATA = 16
MAX_OPTIONS = 16
Name = Annotated[str, Field(max_length=256)]


class IgnoredParameters(BaseModel):
    """See the module. Bounds are OpenAI's own where it says any."""

    user: Name | None = None
    """Accepted; changes nothing. So do the ones below."""
    safety_identifier: Name | None = None
    prompt_cache_key: Name | None = None
    prompt_cache_retention: Name | None = None
    prompt_cache_options: Annotated[dict[str, Any], Field(max_length=MAX_OPTIONS)] | None = None
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
    service_tier: Literal["auto", "default"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    parallel_tool_calls: bool | None = None
    store: Annotated[bool, Field(json_schema_extra={"const": False})] | None = None
    """Nothing is stored, whatever is said; `true` is refused."""
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    reasoning_effort: Literal["none"] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    """Only the empty list, as for `functions`."""
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    function_call: Literal["none", "auto"] | None = None
