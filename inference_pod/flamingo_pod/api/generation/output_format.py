"""What the answer of a request has to be, as the grammar that enforces it.

Pure.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flamingo_common.errors import BadRequest, UnsupportedParameter
from flamingo_common.wire.requests import ChatRequest, GenerationOptions, ResponseFormat
from flamingo_common.wire.structured_outputs import GuidedOptions, StructuredOutputs
from flamingo_common.wire.tools import (
    Call,
    ForcedCall,
    Offered,
    OptionalCall,
    function_call,
    tool_call,
)
from flamingo_pod.engine.structured_output.grammar_source import FunctionSpec, GrammarSpec, Kind

NO_ARGUMENTS: Mapping[str, Any] = {
    "type": "object",
    "properties": {},
    "additionalProperties": False,
}
OPENING_KEYWORDS = frozenset(
    {
        "$ref",
        "additionalProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "patternProperties",
        "unevaluatedProperties",
    }
)
"""A schema with one of these says by itself which other properties an object can have."""


def requested_call(options: GenerationOptions, *, may_decide: bool = False) -> Call | None:
    """Return the call that the answer has to be, or may have; None: the answer is text.

    `may_decide` is whether the model may decide on calls.

    Raises:
        BadRequest: the tools and the choice among them do not fit, or the request demands a call
            and also sets a format of the answer.
        UnsupportedParameter: the model would have to decide.
    """
    _check_one_format(options)
    if not isinstance(options, ChatRequest):
        return None
    is_parallel = options.parallel_tool_calls is not False
    call = tool_call(options.tools, options.tool_choice, is_parallel=is_parallel)
    legacy = function_call(options.functions, options.function_call)
    if call and legacy:
        raise BadRequest("tools and functions are both set; set only one", param="functions")
    call = call or legacy
    if isinstance(call, OptionalCall):
        if not may_decide:
            raise _undecided(call)
        return call
    for name in _formats(options) if call else ():
        raise BadRequest(
            f"{_choice_name(call)} and {name} both set the format of the answer; set only one",
            param=name,
        )
    return call


def grammar_spec(options: GenerationOptions, call: Call | None) -> GrammarSpec | None:
    """Return the grammar of the answer, or of its text; None: any text.

    May walk a body's worth of schemas.

    Raises:
        BadRequest: the parameters of a function are not those of an object.
    """
    if isinstance(call, ForcedCall):
        return _call_spec("call", call)
    if options.structured_outputs is not None:
        return _structured(options.structured_outputs, "structured_outputs.{}")
    guided = StructuredOutputs.model_construct(
        json_=options.guided_json,
        regex=options.guided_regex,
        choice=options.guided_choice,
        grammar=options.guided_grammar,
        json_object=options.guided_json_object,
    )
    return _structured(guided, "guided_{}") or _from_response_format(options.response_format)


def optional_call_spec(call: OptionalCall) -> GrammarSpec:
    """Return the grammar of one call, between its marks.

    Raises:
        BadRequest: the parameters of a function are not those of an object.
    """
    return _call_spec("tool_call", call)


def _call_spec(kind: Kind, call: Call) -> GrammarSpec:
    field = "functions" if call.is_legacy else "tools"
    return GrammarSpec(kind, field=field, functions=tuple(map(_function, call.callable)))


def _undecided(call: OptionalCall) -> UnsupportedParameter:
    field = _choice_name(call)
    values = "one of the functions" if call.is_legacy else '"required", to one of the tools'
    return UnsupportedParameter(
        f'{field} "auto", which is the default, leaves it to the model whether to call a function;'
        " this needs pods that are started with --enable-auto-tool-choice. Otherwise send no"
        f' tools, set {field} to {values} or to "none", or use response_format for an answer in'
        " JSON",
        param=field,
    )


def _check_one_format(options: GenerationOptions) -> None:
    names = list(_formats(options))
    if len(names) > 1:
        raise BadRequest(
            f"{' and '.join(names)} set the format of the answer; set only one of them",
            param=names[1],
        )


def _formats(options: GenerationOptions) -> Iterator[str]:
    """Yield the names of the fields that set the format of the answer."""
    if options.response_format is not None and options.response_format.type != "text":
        yield "response_format"
    fields = GuidedOptions.model_fields
    yield from (name for name in fields if getattr(options, name) not in (None, False))


def _choice_name(call: Call | None) -> str:
    return "function_call" if call and call.is_legacy else "tool_choice"


def _from_response_format(response_format: ResponseFormat | None) -> GrammarSpec | None:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.json_schema is None or response_format.type == "json_object":
        return GrammarSpec("json_object")
    return GrammarSpec("json_schema", json.dumps(response_format.json_schema.schema_))


def _structured(wanted: StructuredOutputs, path: str) -> GrammarSpec | None:
    """Return the grammar of the one that is set; `path` is that of its field."""
    is_compact = bool(wanted.disable_any_whitespace)
    if wanted.json_ is not None:
        text = _schema_text(wanted.json_)
        return GrammarSpec("json_schema", text, path.format("json"), is_compact=is_compact)
    if wanted.regex is not None:
        return GrammarSpec("regex", wanted.regex, path.format("regex"))
    if wanted.choice is not None:
        return GrammarSpec("choice", field=path.format("choice"), choices=tuple(wanted.choice))
    if wanted.grammar is not None:
        return GrammarSpec("grammar", wanted.grammar, path.format("grammar"))
    if wanted.json_object:
        field = path.format("json_object")
        return GrammarSpec("json_object", field=field, is_compact=is_compact)
    return None


def _schema_text(schema: str | dict[str, Any]) -> str:
    return schema if isinstance(schema, str) else json.dumps(schema)


def _function(offered: Offered) -> FunctionSpec:
    field = f"{offered.field}.parameters"
    schema = closed_parameters(offered.function.parameters, field)
    return FunctionSpec(offered.function.name, json.dumps(schema), field)


def closed_parameters(schema: Mapping[str, Any] | None, field: str) -> Mapping[str, Any]:
    """Return the schema of a call's arguments: an object that has no others than are declared.

    An argument that a function does not have fails its call, so unless the schema says what
    others there can be, there are none.

    Raises:
        BadRequest: the schema is not that of an object.
    """
    if not schema:
        return NO_ARGUMENTS
    if schema.get("type", "object") != "object":
        raise BadRequest("the type of the parameters must be object", param=field)
    closed = {"type": "object", **schema}
    if OPENING_KEYWORDS.isdisjoint(schema):
        closed["additionalProperties"] = False
    return closed
