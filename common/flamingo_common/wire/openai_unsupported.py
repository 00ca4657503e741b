"""Parameters of OpenAI's chat API that change the answer and are not implemented.

Some are on one route and not on another. Ignoring one of these would hand back
something other than what was asked for, so a request that sets it to more than
its default is refused, by name. What may be ignored is in `flamingo_common.wire.openai_ignored`.

Pure.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flamingo_common.errors import UnsupportedParameter


def _set(value: Any) -> bool:
    return value not in (None, [], {}, "", False)


def _not_in(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: value is not None and value not in allowed


CHAT_ONLY = frozenset({"logprobs", "n", "top_logprobs"})
"""What a chat has and the other routes have no place for in their answers."""
NEEDS_SUPPORT: Mapping[str, Callable[[Any], bool]] = {
    "audio": _set,
    "function_call": _not_in("none", "auto"),
    "functions": _set,
    "logprobs": _set,
    "modalities": _not_in([], ["text"]),
    "moderation": _set,
    "n": _not_in(1),
    "prediction": _set,
    "reasoning_effort": _not_in("none"),
    "service_tier": _not_in("auto", "default"),
    "store": _set,
    "tool_choice": _not_in("none", "auto"),
    "tools": _set,
    "top_logprobs": _set,
    "web_search_options": lambda value: value is not None,
}


def reject_unsupported(body: Mapping[str, Any], *, own: Collection[str] = ()) -> None:
    """Raise for the first parameter that is not implemented.

    `own` are fields that the route at hand has itself.

    Raises:
        UnsupportedParameter: names the parameter and the values that are allowed.
    """
    for name, needs_support in NEEDS_SUPPORT.items():
        if name in body and name not in own and needs_support(body[name]):
            raise UnsupportedParameter(
                f"{name} is not supported by this server; leave it out", param=name
            )
