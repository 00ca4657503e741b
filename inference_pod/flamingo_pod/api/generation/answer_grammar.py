"""The grammar of a request's answer; one that spells out a control token is refused."""

import asyncio

from flamingo_common.errors import BadRequest
from flamingo_common.wire import requests
from flamingo_common.wire.tools import ForcedCall
from flamingo_pod.api.generation import output_format
from flamingo_pod.engine.structured_output import grammar_literals
from flamingo_pod.engine.structured_output.grammar import Grammar
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text.control_tokens import ControlTokens, control_tokens


async def compiled(
    served: ServedModel, options: requests.GenerationOptions, call: ForcedCall | None
) -> Grammar | None:
    """Return the grammar at its start; None: the answer is any text.

    Raises:
        BadRequest: it is invalid, unsupported or too large, or spells out a control token.
        Unavailable: there was no time to compile it.
    """
    # In a thread: a schema may be as long as a body, before the grammar checks its size.
    spec = await asyncio.to_thread(output_format.grammar_spec, options, call)
    if spec is None:
        return None
    grammar = await served.engine.compile(spec)
    control = control_tokens(served.checkpoint.processor)
    await asyncio.to_thread(reject_control_tokens, spec, control)
    return grammar


def reject_control_tokens(spec: GrammarSpec, control: ControlTokens) -> None:
    """Raise an error if a spec spells out a control token: none may be sampled, as none is typed.

    Raises:
        BadRequest: it does; the error names the field and the token.
    """
    for field, text in grammar_literals.literals(spec):
        if (token := control.first_in(text)) is not None:
            raise BadRequest(
                f"the text contains the control token {token!r}; remove it", param=field
            )
