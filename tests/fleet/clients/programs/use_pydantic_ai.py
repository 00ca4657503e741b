"""pydantic-ai's agents with its model for OpenAI's chat completions."""

import asyncio
import typing

import cases
import pydantic
from cases import case
from pydantic_ai import Agent, BinaryContent, ModelRetry, NativeOutput, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

AUDIO = BinaryContent(cases.SONG_BYTES, media_type="audio/mpeg")
SHORT = {"max_tokens": cases.WORDS}
LONG = {"max_tokens": cases.ENOUGH}


def agent(router=cases.FLEET, name=cases.MODEL, **options):
    provider = OpenAIProvider(base_url=f"{router}/v1", api_key="none")
    return Agent(OpenAIChatModel(name, provider=provider), **options)


@case
def answer():
    got = agent().run_sync([cases.QUESTION, AUDIO], model_settings=SHORT)
    usage = {"prompt_tokens": got.usage.input_tokens, "audio": got.usage.input_audio_tokens}
    return {"text": got.output, "usage": usage}


@case
def stream():
    async def words():
        asked = ([cases.QUESTION, AUDIO],)
        async with agent().run_stream(*asked, model_settings=SHORT) as got:
            return "".join([word async for word in got.stream_text(delta=True)])

    return asyncio.run(words())


@case
def typed():
    typist = agent(output_type=cases.Song)
    return typist.run_sync([cases.QUESTION, AUDIO], model_settings=LONG).output.model_dump()


@case
def native_object():
    typist = agent(output_type=NativeOutput(cases.Song))
    return typist.run_sync([cases.QUESTION, AUDIO], model_settings=LONG).output.model_dump()


@case
def streamed_call():
    async def song():
        typist = agent(output_type=cases.Song)
        async with typist.run_stream([cases.QUESTION, AUDIO], model_settings=LONG) as got:
            return await got.get_output()

    return asyncio.run(song()).model_dump()


class Genre(pydantic.BaseModel):
    genre: typing.Literal["rock", "pop", "jazz"]


@case
def one_of_two_types():
    typist = agent(output_type=[cases.Song, Genre])
    got = typist.run_sync([cases.QUESTION, AUDIO], model_settings=LONG).output
    return got.model_dump() | {"type": type(got).__name__}


@case
def left_to_the_model():
    # Because it may also answer with text, the call is not demanded.
    got = agent(cases.CALLING, output_type=[cases.Song, str]).run_sync(
        [cases.QUESTION, AUDIO], model_settings=LONG
    )
    (said,) = (part for message in got.all_messages() for part in message.parts if is_text(part))
    return [said.content, got.output.model_dump()]


def is_text(part):
    return part.part_kind == "text"


@case
def asked_again():
    typist = agent(output_type=cases.Song)

    @typist.output_validator
    def refuse_the_first(ctx: RunContext, song: cases.Song) -> cases.Song:
        if ctx.retry == 0:
            raise ModelRetry("Listen again.")
        return song

    got = typist.run_sync([cases.QUESTION, AUDIO], model_settings=LONG)
    return {"num_requests": got.usage.requests} | got.output.model_dump()


@case
def second_turn():
    said = agent().run_sync([cases.QUESTION, AUDIO], model_settings=SHORT).all_messages()
    asked = [cases.SECOND_QUESTION, AUDIO]
    got = agent().run_sync(asked, message_history=said, model_settings=SHORT)
    return got.usage.input_tokens


@case
def refused():
    settings = SHORT | {"extra_body": {"store": True}}
    return agent().run_sync("Hi", model_settings=settings)


@case
def unknown_model():
    return agent(name="gpt-4o").run_sync("Hi", model_settings=SHORT)


@case
def without_key():
    return agent(cases.CLOSED).run_sync("Hi")


@case
def busy():
    return agent(cases.BUSY).run_sync("Hi")


@case
def too_long():
    return agent().run_sync(cases.TOO_LONG[0]["content"])


@case
def closed_stream():
    async def close_early():
        async with agent(cases.SLOW).run_stream("Hi") as got:
            await anext(got.stream_text(delta=True, debounce_by=None))
            await got.cancel()
            return await asyncio.to_thread(cases.until_idle, cases.SLOW)

    return asyncio.run(close_early())


cases.run()
