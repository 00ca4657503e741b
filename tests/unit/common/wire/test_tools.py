"""Tools and the choice among them: which call a request demands or allows."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse, requests, tools


def tool(name, **fields):
    return {"type": "function", "function": {"name": name, **fields}}


def named(name):
    return {"type": "function", "function": {"name": name}}


def allowed(*names, mode="required"):
    choice = {"mode": mode, "tools": [named(name) for name in names]}
    return {"type": "allowed_tools", "allowed_tools": choice}


def request(**fields):
    body = {"messages": [{"role": "user", "content": "a"}], **fields}
    return parse.validate_request(requests.ChatRequest, body)


def call_of(**fields):
    options = request(**fields)
    is_parallel = options.parallel_tool_calls is not False
    return tools.tool_call(options.tools, options.tool_choice, is_parallel=is_parallel)


def legacy_call_of(**fields):
    options = request(**fields)
    return tools.function_call(options.functions, options.function_call)


def names(offered):
    return [each.function.name for each in offered]


TOOLS = [tool("first"), tool("second"), tool("third")]


def test_a_named_choice_calls_that_tool():
    call = call_of(tools=TOOLS, tool_choice=named("second"))
    assert names(call.offered) == ["first", "second", "third"]
    assert names(call.callable) == ["second"]
    assert call.callable[0].field == "tools[1].function"
    assert call.is_named
    assert not call.is_legacy


def test_a_required_call_is_of_any_tool():
    call = call_of(tools=TOOLS, tool_choice="required")
    assert names(call.callable) == ["first", "second", "third"]
    assert not call.is_named


def test_a_required_call_can_be_limited_to_some_tools():
    call = call_of(tools=TOOLS, tool_choice=allowed("third", "first", "third"))
    assert names(call.callable) == ["third", "first"]
    assert not call.is_named


def test_a_function_call_of_older_clients_is_named():
    functions = [tool("first")["function"], tool("second")["function"]]
    call = legacy_call_of(functions=functions, function_call={"name": "second"})
    assert names(call.callable) == ["second"]
    assert call.callable[0].field == "functions[1]"
    assert call.is_legacy
    assert call.is_named


@pytest.mark.parametrize("choice", [None, "none", "auto"])
def test_no_tools_are_no_call(choice):
    for nothing in (None, []):
        assert call_of(tools=nothing, tool_choice=choice) is None
        assert legacy_call_of(functions=nothing, function_call=choice) is None


def test_none_forbids_a_call():
    assert call_of(tools=TOOLS, tool_choice="none") is None
    assert legacy_call_of(functions=[{"name": "first"}], function_call="none") is None


@pytest.mark.parametrize("choice", [None, "auto"])
def test_the_model_may_call_any_tool_or_none(choice):
    call = call_of(tools=TOOLS, tool_choice=choice)
    assert isinstance(call, tools.OptionalCall)
    assert names(call.offered) == names(call.callable) == ["first", "second", "third"]
    assert (call.is_parallel, call.is_legacy) == (True, False)
    assert not call_of(tools=TOOLS, tool_choice=choice, parallel_tool_calls=False).is_parallel


def test_the_model_may_call_some_of_the_tools():
    call = call_of(tools=TOOLS, tool_choice=allowed("third", "first", mode="auto"))
    assert isinstance(call, tools.OptionalCall)
    assert names(call.offered) == ["first", "second", "third"]
    assert names(call.callable) == ["third", "first"]


@pytest.mark.parametrize("choice", [None, "auto"])
def test_of_functions_the_model_may_call_one(choice):
    call = legacy_call_of(functions=[{"name": "first"}], function_call=choice)
    assert isinstance(call, tools.OptionalCall)
    assert (call.is_parallel, call.is_legacy) == (False, True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": TOOLS, "tool_choice": named("fourth")}, "tool_choice.function.name"),
        (
            {"tools": TOOLS, "tool_choice": allowed("first", "fourth")},
            "tool_choice.allowed_tools.tools[1].function.name",
        ),
        (
            {"tools": TOOLS, "tool_choice": allowed("fourth", mode="auto")},
            "tool_choice.allowed_tools.tools[0].function.name",
        ),
        ({"tools": [*TOOLS, tool("first")]}, "tools[3].function.name"),
        ({"tools": [*TOOLS, tool("first")], "tool_choice": "required"}, "tools[3].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [], "tool_choice": named("first")}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tools": TOOLS, "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tools": TOOLS, "tool_choice": allowed()}, "tool_choice.allowed_tools.tools"),
        ({"tools": [tool("a b")]}, "tools[0].function.name"),
        ({"tools": [tool("a" * 65)]}, "tools[0].function.name"),
        ({"tools": [tool("a", parameters=[])]}, "tools[0].function.parameters"),
        ({"tools": [tool("a", parametres={})]}, "tools[0].function.parametres"),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0].custom"),
        ({"tools": [tool(f"t{number}") for number in range(129)]}, "tools"),
        ({"tools": {}}, "tools"),
        ({"functions": [{"name": ""}]}, "functions[0].name"),
        ({"function_call": {"name": 1}}, "function_call.name"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_path(fields, param):
    with pytest.raises(BadRequest) as caught:
        call_of(**fields)
    assert caught.value.param == param


def test_a_function_call_of_a_missing_function_is_rejected():
    with pytest.raises(BadRequest, match="the function b is not offered; offered: a") as caught:
        legacy_call_of(functions=[{"name": "a"}], function_call={"name": "b"})
    assert caught.value.param == "function_call.name"
