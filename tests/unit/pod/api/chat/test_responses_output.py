"""The events of `/v1/responses`, written from the chunks of a chat."""

import json

import pytest

from flamingo_common.errors import Draining
from flamingo_common.wire.openai_responses import ResponsesRequest
from flamingo_common.wire.responses import (
    CallDelta,
    ChunkChoice,
    Delta,
    PromptTokensDetails,
    ToolCallDelta,
    Usage,
)
from flamingo_pod.api.chat import responses_output
from flamingo_pod.api.chat.responses_output import EventWriter

COMMON = {"id": "resp-1", "created": 5, "model": "m"}
USAGE = Usage(
    prompt_tokens=10,
    completion_tokens=2,
    total_tokens=12,
    prompt_tokens_details=PromptTokensDetails(audio_tokens=7, text_tokens=3, cached_tokens=1),
    audio_seconds=1.5,
)


def writer(**fields):
    request = ResponsesRequest.model_validate({"input": "x"} | fields)
    return EventWriter(responses_output.begun(request, COMMON, temperature=0.0, top_p=None))


def events(writing, *choices):
    found = [*writing.start()]
    for choice in choices:
        found += writing.add(choice)
    return [*found, writing.finish(USAGE, None, completed_at=9)]


def chunk(reason=None, **delta):
    return ChunkChoice(delta=Delta(**delta), finish_reason=reason)


def called(arguments, **first):
    function = CallDelta(arguments=arguments, name=first.pop("name", None))
    return chunk(tool_calls=[ToolCallDelta(function=function, **first)])


TEXT = (chunk(role="assistant", content=""), chunk(content="C "), chunk(content="major"))
CALL = (called("", name="f", id="call_1", type="function"), called("{"), called("}"))


def test_text_has_openais_sequence_of_events():
    found = events(writer(), *TEXT, chunk("stop"))
    assert [event.type.removeprefix("response.") for event in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in found] == list(range(10))
    assert {event.item_id for event in found[3:8]} == {"msg_1"}
    assert found[2].item.content == []
    assert found[3].part.text == ""
    assert found[6].text == "C major"


def test_a_call_has_openais_sequence_of_events():
    found = events(writer(), *CALL, chunk("stop"))
    assert [event.type.removeprefix("response.") for event in found[2:]] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert (found[2].item.name, found[2].item.arguments) == ("f", "")
    assert found[-1].response.output[0].model_dump() == {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "f",
        "arguments": "{}",
        "status": "completed",
    }


@pytest.mark.parametrize("chunks", [TEXT, CALL])
def test_an_answer_that_is_cut_is_incomplete(chunks):
    last = events(writer(), *chunks, chunk("length"))[-1]
    assert last.type == "response.incomplete"
    assert last.response.status == last.response.output[0].status == "incomplete"
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.completed_at is None


def test_a_call_that_is_cut_in_its_name_is_no_item():
    found = events(writer(), chunk(role="assistant"), chunk("length"))
    assert [event.type for event in found][2:] == ["response.incomplete"]
    assert found[-1].response.output == []


def test_reasoning_is_an_item_of_its_own_before_the_answer():
    thought = [chunk(reasoning_content=text) for text in ("Ho", "w?")]
    found = events(writer(), TEXT[0], *thought, *TEXT[1:], chunk("stop"))
    assert [event.type.removeprefix("response.") for event in found[2:10]] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
    ]
    assert [found[2].output_index, found[9].output_index] == [0, 1]
    reasoning, message = found[-1].response.output
    assert (reasoning.summary[0].text, message.content[0].text) == ("How?", "C major")
    assert (reasoning.id, message.id) == ("rs_1", "msg_1")


def test_an_empty_answer_is_an_empty_message():
    (message,) = events(writer(), TEXT[0], chunk("stop"))[-1].response.output
    assert (message.content[0].text, message.status) == ("", "completed")


def test_reasoning_that_is_cut_is_followed_by_an_empty_message():
    found = events(writer(), TEXT[0], chunk(reasoning_content="How"), chunk("length"))
    reasoning, message = found[-1].response.output
    assert (reasoning.summary[0].text, message.content[0].text) == ("How", "")
    assert message.status == "incomplete"


def test_events_do_not_change_after_they_are_returned():
    writing = writer()
    found = [*writing.start(), *writing.add(TEXT[0])]
    before = [event.model_dump_json() for event in found]
    _ = [*writing.add(TEXT[1]), *writing.add(chunk("stop"))]
    assert [event.model_dump_json() for event in found] == before


def test_the_response_has_the_usage_and_what_the_request_says():
    asked = {
        "instructions": "Be brief.",
        "metadata": {"album": "Blue"},
        "max_output_tokens": 5,
        "text": {"format": {"type": "json_object"}},
        "store": True,
    }
    response = events(writer(**asked), *TEXT, chunk("stop"))[-1].response
    assert (response.instructions, response.metadata) == ("Be brief.", {"album": "Blue"})
    assert (response.max_output_tokens, response.store) == (5, False)
    assert response.text == {"format": {"type": "json_object"}}
    assert (response.completed_at, response.top_p) == (9, 1.0)
    assert response.usage.model_dump() == {
        "audio_seconds": 1.5,
        "input_tokens": 10,
        "input_tokens_details": {
            "audio_tokens": 7,
            "text_tokens": 3,
            "cached_tokens": 1,
            "cache_write_tokens": 0,
        },
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    }


def test_a_failure_is_an_event_that_clients_raise_and_the_router_finds():
    writing = writer()
    events(writing, *TEXT)
    text = writing.failure(Draining("bye"))
    event = json.loads(text)
    assert text.startswith('{"error": {')
    assert event["type"] == "response.failed"
    assert event["error"]["code"] == event["response"]["error"]["code"] == "draining"
    assert event["response"]["status"] == "failed"


def test_text_and_calls_are_items_of_their_own():
    more = (called("", name="g", id="call_2", type="function", index=1), called("{}", index=1))
    found = events(writer(), chunk(content="So."), *CALL, *more, chunk("tool_calls"))
    items = found[-1].response.output
    assert [item.type for item in items] == ["message", "function_call", "function_call"]
    assert [(item.name, item.arguments) for item in items[1:]] == [("f", "{}"), ("g", "{}")]
    assert len({item.id for item in items}) == 3
    added = [event for event in found if event.type == "response.output_item.added"]
    assert [event.output_index for event in added] == [0, 1, 2]
    done = [event for event in found if event.type == "response.output_item.done"]
    assert [event.item for event in done] == items


def test_it_says_whether_calls_may_be_parallel():
    assert writer().response.parallel_tool_calls
    assert not writer(parallel_tool_calls=False).response.parallel_tool_calls
