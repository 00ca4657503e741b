"""The grammars of a request's answer; one that spells out a control token is refused."""

import asyncio
from dataclasses import dataclass

from flamingo_common.errors import BadRequest
from flamingo_common.wire import requests
from flamingo_common.wire.tools import Call, OptionalCall
from flamingo_pod.api.generation import output_format
from flamingo_pod.engine.structured_output import grammar_literals
from flamingo_pod.engine.structured_output.call_constraint import CallRules, FormatOrCalls
from flamingo_pod.engine.structured_output.constraint import AnswerGrammar
from flamingo_pod.engine.structured_output.grammar import Grammar
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text.control_tokens import ControlTokens, control_tokens


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """What an answer has to be; at most one of the two is set."""

    grammar: AnswerGrammar | None = None
    """The grammar of the whole answer, at its start."""
    calls: CallRules | None = None
    """The calls that may follow any text."""


async def compiled(
    served: ServedModel, options: requests.GenerationOptions, call: Call | None
) -> AnswerRules:
    """Return the grammars at their start.

    Raises:
        BadRequest: one is invalid, unsupported or too large, or spells out a control token.
        Unavailable: there was no time to compile it.
    """
    # In a thread: a schema may be as long as a body, before the grammar checks its size.
    spec = await asyncio.to_thread(output_format.grammar_spec, options, call)
    grammar = None if spec is None else await _compiled(served, spec)
    if not isinstance(call, OptionalCall):
        return AnswerRules(grammar)
    assert served.call_tokens is not None  # or the request would be refused
    call_spec = await asyncio.to_thread(output_format.optional_call_spec, call)
    one_call = await _compiled(served, call_spec)
    calls = CallRules(served.call_tokens, one_call, call.is_parallel)
    if grammar is None:
        return AnswerRules(calls=calls)
    return AnswerRules(FormatOrCalls(calls, grammar))


async def _compiled(served: ServedModel, spec: GrammarSpec) -> Grammar:
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
