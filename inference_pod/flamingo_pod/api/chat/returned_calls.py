"""Calls of functions as OpenAI's API returns them, in a message or in the deltas of a stream.

Those of `tools` have ids; of `functions`, the older form, there is one, without an id.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from flamingo_common.wire.responses import (
    AssistantMessage,
    CallDelta,
    Delta,
    GeneratedCall,
    GeneratedToolCall,
    ToolCallDelta,
)


def message(
    content: str | None, calls: Sequence[GeneratedCall], *, is_legacy: bool
) -> AssistantMessage:
    """Return a message with calls, if there are any."""
    if not calls:
        return AssistantMessage(content=content)
    if is_legacy:
        return AssistantMessage(content=content, function_call=calls[0])
    made = [GeneratedToolCall(id=_new_id(), function=each) for each in calls]
    return AssistantMessage(content=content, tool_calls=made)


def delta(
    called: CallDelta,
    number: int = 0,
    *,
    is_legacy: bool,
    role: Literal["assistant"] | None = None,
) -> Delta:
    """Return the delta of the next part of a call, which has an id in the part with its name.

    `number` is that of the call in its message.
    """
    if is_legacy:
        return Delta(role=role, function_call=called)
    first: dict[str, Any] = {} if called.name is None else {"id": _new_id(), "type": "function"}
    return Delta(role=role, tool_calls=[ToolCallDelta(index=number, function=called, **first)])


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
