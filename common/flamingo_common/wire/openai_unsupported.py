"""Parameters of OpenAI's chat API that would change the response but are not supported.

Some are supported on one route only. Ignoring one of these would return something other
than the client requested, so a request that sets one to a value other than its default is
rejected, naming the parameter. Ignored ones are in `flamingo_common.wire.openai_ignored`.

Pure.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flamingo_common.errors import UnsupportedParameter


def _is_set(value: Any) -> bool:
    return value not in (None, [], {}, "", False)


def _not_in(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: value is not None and value not in allowed


CHAT_ONLY = frozenset({"logprobs", "n", "top_logprobs"})
"""Supported for chat only: the responses of the other routes have no fields for them."""
IS_UNSUPPORTED: Mapping[str, Callable[[Any], bool]] = {
    "audio": _is_set,
    "function_call": _not_in("none", "auto"),
    "functions": _is_set,
    "logprobs": _is_set,
    "modalities": _not_in([], ["text"]),
    "moderation": _is_set,
    "n": _not_in(1),
    "prediction": _is_set,
    "reasoning_effort": _not_in("none"),
    "service_tier": _not_in("auto", "default"),
    "store": _is_set,
    "tool_choice": _not_in("none", "auto"),
    "tools": _is_set,
    "top_logprobs": _is_set,
    "web_search_options": lambda value: value is not None,
}


def reject_unsupported(body: Mapping[str, Any], *, own: Collection[str] = ()) -> None:
    """Reject a request that sets an unsupported parameter to other than its default.

    `own` are the parameters that the route supports.

    Raises:
        UnsupportedParameter: for the first such parameter; names it.
    """
    for name, is_unsupported in IS_UNSUPPORTED.items():
        if name in body and name not in own and is_unsupported(body[name]):
            raise UnsupportedParameter(
                f"{name} is not supported by this server; remove it from the request", param=name
            )
