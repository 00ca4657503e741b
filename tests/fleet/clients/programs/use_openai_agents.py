"""OpenAI's agents, which use the Responses API unless another one is chosen."""

import asyncio
import json

import agents
import cases
import openai
from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner
from cases import case

agents.set_tracing_disabled(True)
ENOUGH = ModelSettings(max_tokens=cases.ENOUGH)
AUDIO = {"type": "input_audio", "input_audio": {"data": cases.SONG, "format": "mp3"}}


def asked(question=cases.QUESTION):
    return {"role": "user", "content": [{"type": "input_text", "text": question}, AUDIO]}


def agent(router=cases.FLEET, name=cases.MODEL, settings=ENOUGH, **options):
    client = openai.AsyncOpenAI(base_url=f"{router}/v1", api_key="none", max_retries=0)
    model = OpenAIResponsesModel(name, openai_client=client)
    return Agent(name="critic", model=model, model_settings=settings, **options)


def run(worker, *items):
    return asyncio.run(Runner.run(worker, [*items] or "Hi"))


@case
def typed():
    return run(agent(output_type=cases.Song), asked()).final_output.model_dump()


@case
def streamed_object():
    async def song():
        running = Runner.run_streamed(agent(output_type=cases.Song), [asked()])
        kinds = [event.type async for event in running.stream_events()]
        assert "raw_response_event" in kinds
        return running.final_output.model_dump()

    return asyncio.run(song())


@case
def second_turn():
    first = run(agent(output_type=cases.Song), asked())
    again = asked(cases.SECOND_QUESTION)
    usage = run(agent(output_type=cases.Song), *first.to_input_list(), again)
    return usage.context_wrapper.usage.input_tokens


@case
def any_function():
    @agents.function_tool
    def song(genre: str, tempo: int, *, has_vocals: bool) -> str:
        """Add a song."""
        return json.dumps({"genre": genre, "tempo": tempo, "has_vocals": has_vocals})

    demanded = ModelSettings(max_tokens=cases.ENOUGH, tool_choice="required")
    song.params_json_schema["properties"] = cases.SCHEMA["properties"]
    # The run ends with the call: in the next turn the model would have the choice.
    worker = agent(settings=demanded, tools=[song], tool_use_behavior="stop_on_first_tool")
    return json.loads(run(worker, asked()).final_output)


@case
def left_to_the_model():
    @agents.function_tool
    def get_key() -> str:
        """Get the key of the song."""
        no_calls = {"logit_bias": cases.NO_CALLS}  # as the model would go on from the result
        worker.model_settings = ModelSettings(max_tokens=cases.ENOUGH, extra_body=no_calls)
        return "C major"

    worker = agent(cases.CALLING, tools=[get_key])
    found = run(worker)
    kinds = [type(item).__name__ for item in found.new_items]
    return [found.final_output, *kinds]


@case
def refused():
    return run(agent(settings=ModelSettings(truncation="auto")))


@case
def unknown_model():
    return run(agent(name="gpt-4o"))


@case
def without_key():
    return run(agent(cases.CLOSED))


@case
def busy():
    return run(agent(cases.BUSY))


@case
def too_long():
    return run(agent(), *cases.TOO_LONG)


cases.run()
