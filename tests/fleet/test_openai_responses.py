"""OpenAI's Responses API, by the official `openai` package, against a router and two pods."""

import base64

import httpx2
import openai
import pydantic
import pytest

TOOL = {
    "type": "function",
    "name": "set_tempo",
    "parameters": {
        "type": "object",
        "properties": {"bpm": {"type": "integer", "minimum": 40, "maximum": 240}},
        "required": ["bpm"],
    },
}
QUESTION = "What key is it in?"


class Key(pydantic.BaseModel):
    is_major: bool


@pytest.fixture
def client(fleet):
    router, _ = fleet
    with openai.OpenAI(base_url=f"{router.address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def song(clips):
    return base64.b64encode(clips["notes.mp3"]).decode()


def audio(song):
    return {"type": "input_audio", "input_audio": {"data": song, "format": "mp3"}}


def asked(part, question=QUESTION):
    return {"role": "user", "content": [{"type": "input_text", "text": question}, part]}


def create(client, *items, **options):
    options = {"max_output_tokens": 12} | options
    return client.responses.create(model="flamingo-tiny", input=[*items], **options)


def test_the_answer_is_that_of_chat(client, song):
    response = create(client, asked(audio(song)), instructions="Be brief.")
    content = [{"type": "text", "text": QUESTION}, audio(song)]
    chat = client.chat.completions.create(
        model="flamingo-tiny",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": content},
        ],
        max_completion_tokens=12,
    )
    assert response.output_text == chat.choices[0].message.content
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    assert response.usage.input_tokens_details.audio_tokens == pytest.approx(37, abs=2)
    assert response.usage.audio_seconds == chat.usage.audio_seconds
    assert (response.status, response.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )


@pytest.mark.parametrize("prefix", ["", "data:application/pdf;base64,"])
def test_a_file_is_a_clip_whatever_it_is_called(client, song, prefix):
    part = {"type": "input_file", "filename": "a.pdf", "file_data": prefix + song}
    answers = [create(client, asked(each)).output_text for each in (audio(song), part)]
    assert answers[0] == answers[1]


def test_a_stream_adds_up_to_the_response_of_its_last_event(client, song):
    events = [*create(client, asked(audio(song)), stream=True, top_logprobs=1)]
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    last = events[-1].response
    assert events[-1].type == "response.incomplete"
    assert "".join(event.delta for event in deltas) == last.output_text
    assert [event.sequence_number for event in events] == [*range(len(events))]
    assert len(last.output[0].content[0].logprobs) == last.usage.output_tokens == 12


def test_an_object_is_parsed_streamed_or_not(client, no_spaces):
    options = {
        "model": "flamingo-tiny",
        "input": QUESTION,
        "text_format": Key,
        "extra_body": {"logit_bias": no_spaces},
    }
    assert isinstance(client.responses.parse(**options).output_parsed, Key)
    with client.responses.stream(**options) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Key)


def test_a_cut_answer_ends_with_the_event_that_openais_accumulator_does_not_take(client):
    """As docs/clients.md says: when this fails, a release of the client has mended it."""
    options = {"model": "flamingo-tiny", "input": QUESTION, "max_output_tokens": 16}
    with client.responses.stream(**options) as stream:
        last = [*stream][-1]
        assert last.type == "response.incomplete"
        assert last.response.incomplete_details.reason == "max_output_tokens"
        assert last.response.output_text
        with pytest.raises(RuntimeError, match=r"response\.completed"):
            stream.get_final_response()
    with (
        client.responses.stream(**options, text_format=Key) as stream,
        pytest.raises(pydantic.ValidationError),
    ):
        stream.until_done()


def test_a_call_and_its_result_are_part_of_the_next_turn(client, no_spaces):
    bias = {"logit_bias": no_spaces}
    options = {"tools": [TOOL], "extra_body": bias, "max_output_tokens": 100}
    user = {"role": "user", "content": "How fast is a waltz?"}
    first = create(client, user, tool_choice="required", **options)
    (call,) = first.output
    assert (call.type, call.name, first.status) == ("function_call", "set_tempo", "completed")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Done."}
    alone = create(client, user, tool_choice="none", **options)
    second = create(client, user, call, result, tool_choice="none", **options)
    assert second.output_text
    assert second.usage.input_tokens > alone.usage.input_tokens


def test_the_earlier_items_of_a_conversation_are_sent_again(client, song):
    first = create(client, asked(audio(song)))
    more = asked(audio(song), "And which tempo?")
    second = create(client, asked(audio(song)), *first.output, more)
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.usage.input_tokens_details.audio_tokens == pytest.approx(37, abs=2)


def test_the_clip_is_sent_again_by_its_id(client, song):
    first = create(client, asked(audio(song)))
    again = {"type": "input_audio", "input_audio": first.audio}
    assert create(client, asked(again)).output_text == first.output_text


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"max_output_tokens": 32_768}, "max_output_tokens"),
        ({"instructions": "<sound>"}, "instructions"),
        ({"tools": [TOOL]}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": 1}}}}, "text.format"),
        ({"tools": [TOOL | {"parameters": {"type": "array"}}], "tool_choice": "required"}, None),
    ],
)
def test_an_error_names_the_field_of_this_api(client, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, {"role": "user", "content": "Hi"}, **options)
    assert caught.value.param == (param or "tools[0].parameters")


def test_an_invalid_clip_is_named_by_its_place(client):
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, {"role": "user", "content": "Hi"}, asked(audio("AAAA")))
    assert (caught.value.code, caught.value.param) == ("invalid_audio", "input[1].content[1]")


def test_a_response_cannot_be_fetched_and_the_error_says_why(client):
    for fetch in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="responses are not stored"):
            fetch("resp_1")


def test_a_form_is_refused_with_the_route_that_takes_one(fleet, clips):
    files = {"file": ("a.mp3", clips["notes.mp3"])}
    answer = httpx2.post(f"{fleet[0].address}/v1/responses", files=files)
    assert answer.status_code == 415
    assert "/v1/chat/completions" in answer.json()["error"]["message"]


def test_the_router_charges_and_measures_the_clip_of_a_response(fleet, client, song):
    router, _ = fleet
    part = {"type": "input_file", "file_data": song}
    raw = client.responses.with_raw_response.create(model="flamingo-tiny", input=[asked(part)])
    assert float(raw.headers["x-flamingo-audio-seconds"]) == pytest.approx(1.5, abs=0.1)
    metrics = httpx2.get(f"{router.address}/metrics").text
    assert 'route="/v1/responses"' in metrics
