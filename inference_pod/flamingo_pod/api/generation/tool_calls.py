"""Calls of functions: how a request describes them to the model, and an answer is read as one.

Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flamingo_common.errors import BadRequest
from flamingo_common.wire.requests import Message
from flamingo_common.wire.responses import ChatFinishReason, FinishReason
from flamingo_common.wire.tools import Call, ForcedCall
from flamingo_pod.engine.structured_output.grammar_source import call_text
from flamingo_pod.text import tool_text
from flamingo_pod.text.prompt import Snippet

MAX_CHARS = 100_000
"""Of all tools together, as of a message's text."""
NO_PARAMETERS = {"type": "object", "properties": {}}


def described(call: Call) -> list[Snippet]:
    """Return the functions of a request for the prompt.

    Raises:
        BadRequest: their description is too long.
    """
    snippets = []
    for each in call.offered:
        function = each.function
        parameters = function.parameters or NO_PARAMETERS
        text = tool_text.tool_json(function.name, function.description, parameters)
        snippets.append(Snippet(text, each.field))
    if sum(len(snippet.text) for snippet in snippets) > MAX_CHARS:
        raise BadRequest(
            f"the functions have more than {MAX_CHARS} characters together",
            param="functions" if call.is_legacy else "tools",
        )
    return snippets


def beginning(call: Call | None) -> str:
    """Return how the answer begins, as part of the prompt."""
    if not isinstance(call, ForcedCall):
        return ""
    names = names_of(call)
    return tool_text.call_beginning(names[0] if len(names) == 1 else None)


def earlier_calls(message: Message, place: str) -> Iterator[Snippet]:
    """Yield the calls in a message of the conversation; `place` is the message's path."""
    for number, call in enumerate(message.tool_calls or ()):
        text = tool_text.call_json(call.function.name, call.function.arguments)
        yield Snippet(text, f"{place}.tool_calls[{number}]")
    if (legacy := message.function_call) is not None:
        text = tool_text.call_json(legacy.name, legacy.arguments)
        yield Snippet(text, f"{place}.function_call")


def finish_reason(
    call: ForcedCall | None, reason: FinishReason, *, has_name: bool
) -> ChatFinishReason:
    """Return the finish reason as OpenAI's API has it: `stop` after a call that was named."""
    is_required = call is not None and not call.is_named
    return "tool_calls" if is_required and has_name and reason == "stop" else reason


@dataclass(slots=True)
class CallReader:
    """Splits the text of one choice into the function's name and its arguments, as it arrives."""

    names: Sequence[str]
    """Those of the functions that the choice may call; the text names one if there are several."""
    name: str | None = None
    """None until it is complete."""
    _pending: str = ""
    _has_arguments: bool = False

    @classmethod
    def of(cls, call: ForcedCall) -> "CallReader":
        """Return the reader of a choice."""
        names = names_of(call)
        return cls(names, names[0] if len(names) == 1 else None)

    def add(self, text: str) -> str:
        """Return the part of the arguments that `text` completes; often empty."""
        self._pending += text
        if self.name is None:
            self.name = next((one for one in self.names if self._begins_with(one)), None)
            if self.name is None:
                return ""
            self._pending = self._pending.removeprefix(call_text(self.name))
        text, self._pending = self._pending, ""
        arguments = text if self._has_arguments else text.lstrip()
        self._has_arguments = self._has_arguments or bool(arguments)
        return arguments

    def _begins_with(self, name: str) -> bool:
        return self._pending.startswith(call_text(name))


def names_of(call: Call) -> list[str]:
    """Return the names of the functions that can be called."""
    return [each.function.name for each in call.callable]
