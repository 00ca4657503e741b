"""What the newest official client for Python offers around the plain calls."""

import asyncio

import cases
import openai
from cases import case

WHERE = {"base_url": f"{cases.FLEET}/v1", "api_key": "none", "max_retries": 0}
ASKED = {"model": cases.MODEL, "messages": cases.MESSAGES, "max_completion_tokens": cases.WORDS}
TYPED = ASKED | {"max_completion_tokens": cases.ENOUGH}
TOOLS = {"tools": [openai.pydantic_function_tool(cases.Song)], "tool_choice": "required"}
completions = openai.OpenAI(**WHERE).chat.completions


@case
def answer():
    async def ask():
        async with openai.AsyncOpenAI(**WHERE) as client:
            return await client.chat.completions.create(**ASKED)

    got = asyncio.run(ask())
    return {"text": got.choices[0].message.content, "usage": got.usage.model_dump()}


@case
def stream():
    async def ask():
        async with openai.AsyncOpenAI(**WHERE) as client:
            chunks = await client.chat.completions.create(**ASKED, stream=True)
            return [chunk.choices[0].delta.content or "" async for chunk in chunks]

    return "".join(asyncio.run(ask()))


@case
def called_function():
    got = completions.parse(**TYPED, **TOOLS).choices[0]
    assert got.finish_reason == "tool_calls"
    return got.message.tool_calls[0].function.parsed_arguments.model_dump()


@case
def streamed_call():
    with completions.stream(**TYPED, **TOOLS) as events:
        got = events.get_final_completion().choices[0].message.tool_calls[0]
    return got.function.parsed_arguments.model_dump()


@case
def streamed_object():
    with completions.stream(**TYPED, response_format=cases.Song) as events:
        return events.get_final_completion().choices[0].message.parsed.model_dump()


@case
def after_a_result():
    said = completions.parse(**TYPED, **TOOLS).choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "It was added."}
    messages = [*cases.MESSAGES, said, result]
    return completions.create(**ASKED | {"messages": messages}).choices[0].message.content


@case
def second_turn():
    said = completions.parse(**TYPED, response_format=cases.Song).choices[0].message
    messages = [*cases.MESSAGES, said, cases.about_the_song(cases.SECOND_QUESTION)]
    return completions.create(**ASKED | {"messages": messages}).usage.prompt_tokens


@case
def request_id():
    got = completions.with_raw_response.create(**ASKED)
    return [got.headers["x-request-id"], got.parse()._request_id]


@case
def extra_parameters():
    sampled = ASKED | {"temperature": 1.0, "seed": 5, "extra_body": {"top_k": 40, "min_p": 0.01}}
    return [completions.create(**sampled).choices[0].message.content for _ in range(2)]


cases.run()
