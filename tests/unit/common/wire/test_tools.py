"""Tools and the choice among them: which call a request demands."""

import pytest

from flamingo_common.errors import BadRequest, UnsupportedParameter
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


def forced(**fields):
    options = request(**fields)
    return tools.forced_tool_call(options.tools, options.tool_choice)


def forced_legacy(**fields):
    options = request(**fields)
    return tools.forced_function_call(options.functions, options.function_call)


def names(offered):
    return [each.function.name for each in offered]


TOOLS = [tool("first"), tool("second"), tool("third")]


def test_a_named_choice_calls_that_tool():
    call = forced(tools=TOOLS, tool_choice=named("second"))
    assert names(call.offered) == ["first", "second", "third"]
    assert names(call.callable) == ["second"]
    assert call.callable[0].field == "tools[1].function"
    assert call.is_named
    assert not call.is_legacy


def test_a_required_call_is_of_any_tool():
    call = forced(tools=TOOLS, tool_choice="required")
    assert names(call.callable) == ["first", "second", "third"]
    assert not call.is_named


def test_a_required_call_can_be_limited_to_some_tools():
    call = forced(tools=TOOLS, tool_choice=allowed("third", "first", "third"))
    assert names(call.callable) == ["third", "first"]
    assert not call.is_named


def test_a_function_call_of_older_clients_is_named():
    functions = [tool("first")["function"], tool("second")["function"]]
    call = forced_legacy(functions=functions, function_call={"name": "second"})
    assert names(call.callable) == ["second"]
    assert call.callable[0].field == "functions[1]"
    assert call.is_legacy
    assert call.is_named


@pytest.mark.parametrize("choice", [None, "none", "auto"])
def test_no_tools_are_no_call(choice):
    for nothing in (None, []):
        assert forced(tools=nothing, tool_choice=choice) is None
        assert forced_legacy(functions=nothing, function_call=choice) is None


def test_none_forbids_a_call():
    assert forced(tools=TOOLS, tool_choice="none") is None
    assert forced_legacy(functions=[{"name": "first"}], function_call="none") is None


@pytest.mark.parametrize("choice", [None, "auto", allowed("first", mode="auto")])
def test_the_model_is_not_left_to_decide(choice):
    with pytest.raises(UnsupportedParameter, match=r"tool_choice.*response_format") as caught:
        forced(tools=TOOLS, tool_choice=choice)
    assert caught.value.param == "tool_choice"
    if not isinstance(choice, dict):
        with pytest.raises(UnsupportedParameter, match=r"function_call.*response_format") as caught:
            forced_legacy(functions=[{"name": "first"}], function_call=choice)
        assert caught.value.param == "function_call"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": TOOLS, "tool_choice": named("fourth")}, "tool_choice.function.name"),
        (
            {"tools": TOOLS, "tool_choice": allowed("first", "fourth")},
            "tool_choice.allowed_tools.tools[1].function.name",
        ),
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
        forced(**fields)
    assert caught.value.param == param


def test_a_function_call_of_a_missing_function_is_rejected():
    with pytest.raises(BadRequest, match="the function b is not offered; offered: a") as caught:
        forced_legacy(functions=[{"name": "a"}], function_call={"name": "b"})
    assert caught.value.param == "function_call.name"
