"""Types and limits of the parameters that are validated and then ignored.

The reason why ignoring one changes nothing is in `flamingo_common.wire.parameters`.

Pure.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from flamingo_common.wire.parameters import GENERATION

MAX_METADATA = 16
MAX_OPTIONS = 16
Name = Annotated[str, Field(max_length=256)]
Options = Annotated[dict[str, Any], Field(max_length=MAX_OPTIONS)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=MAX_METADATA),
]


def _described(name: str) -> Any:
    return Field(default=None, description=f"Has no effect: {GENERATION[name].reason}.")


class IgnoredParameters(BaseModel):
    """Parameters that have no effect; their limits are OpenAI's, where it documents any."""

    user: Name | None = _described("user")
    safety_identifier: Name | None = _described("safety_identifier")
    prompt_cache_key: Name | None = _described("prompt_cache_key")
    prompt_cache_retention: Name | None = _described("prompt_cache_retention")
    prompt_cache_options: Options | None = _described("prompt_cache_options")
    metadata: Metadata | None = _described("metadata")
    verbosity: Literal["low", "medium", "high"] | None = _described("verbosity")
    parallel_tool_calls: bool | None = _described("parallel_tool_calls")
