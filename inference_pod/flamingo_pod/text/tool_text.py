"""The text of tools, calls and their results in a prompt, as Qwen2.5 was trained to read it.

The language models of the Flamingo checkpoints are Qwen2.5, whose chat template has tools; the
checkpoints' own templates, which place the audio, have none. So this text becomes part of ordinary
turns: tools of the system's, calls of the assistant's, and results of the user's.

Pure.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

INTRODUCTION = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def tool_json(name: str, description: str | None, parameters: Any) -> str:
    """Return a function's signature as JSON."""
    function = {"name": name}
    if description is not None:
        function["description"] = description
    function["parameters"] = parameters
    return _json({"type": "function", "function": function})


def call_json(name: str, arguments: str) -> str:
    """Return a call as JSON; arguments that are not JSON stay as they are."""
    with contextlib.suppress(ValueError, RecursionError):
        arguments = _json(json.loads(arguments))
    return f'{{"name": "{name}", "arguments": {arguments}}}'


def system_text(text: str, tools: Iterable[str]) -> str:
    """Return a system message with the signatures of tools."""
    introduction = INTRODUCTION.format(tools="\n".join(tools))
    return f"{text}\n\n{introduction}" if text else introduction


def answer_text(text: str, calls: Iterable[str]) -> str:
    """Return an answer of the assistant with its calls."""
    marked = [f"<tool_call>\n{call}\n</tool_call>" for call in calls]
    return "\n".join([text, *marked] if text else marked)


def results_text(results: Sequence[str]) -> str:
    """Return results of calls, one after the other, as a message of the user."""
    return "\n".join(f"<tool_response>\n{result}\n</tool_response>" for result in results)


def call_beginning(name: str | None) -> str:
    """Return how an answer that is a call begins, up to the arguments, or up to the name."""
    if name is None:
        return '<tool_call>\n{"name":'
    return f'<tool_call>\n{{"name": "{name}", "arguments":'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
