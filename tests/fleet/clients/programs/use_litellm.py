"""LiteLLM, with the prefix of the API that it shall speak: `openai/`."""

import json

import cases
import litellm
from cases import case

ASKED = {
    "model": f"openai/{cases.MODEL}",
    "api_base": f"{cases.FLEET}/v1",
    "api_key": "none",
    "messages": cases.MESSAGES,
    "max_tokens": cases.WORDS,
}
HELLO = ASKED | {"messages": cases.HELLO, "max_retries": 0}


@case
def answer():
    got = litellm.completion(**ASKED)
    return {"text": got.choices[0].message.content, "usage": got.usage.model_dump()}


@case
def stream():
    chunks = litellm.completion(**ASKED, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@case
def stream_usage():
    chunks = litellm.completion(**ASKED, stream=True, stream_options={"include_usage": True})
    return [chunk.usage.prompt_tokens for chunk in chunks if "usage" in chunk]


@case
def typed():
    asked = ASKED | {"max_tokens": cases.ENOUGH}
    got = litellm.completion(**asked, response_format=cases.Song)
    return cases.Song.model_validate_json(got.choices[0].message.content).model_dump()


TOOLS = {
    "tools": [{"type": "function", "function": {"name": "song", "parameters": cases.SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "song"}},
    "max_tokens": cases.ENOUGH,
}


@case
def called_function():
    got = litellm.completion(**ASKED | TOOLS).choices[0].message.tool_calls[0]
    return json.loads(got.function.arguments)


@case
def streamed_call():
    chunks = litellm.completion(**ASKED | TOOLS, stream=True)
    got = litellm.stream_chunk_builder(list(chunks)).choices[0].message.tool_calls[0]
    return json.loads(got.function.arguments)


@case
def after_a_result():
    said = litellm.completion(**ASKED | TOOLS).choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "It was added."}
    messages = [*cases.MESSAGES, said, result]
    return litellm.completion(**ASKED | {"messages": messages}).choices[0].message.content


@case
def second_turn():
    said = litellm.completion(**ASKED).choices[0].message
    messages = [*cases.MESSAGES, said, cases.about_the_song(cases.SECOND_QUESTION)]
    return litellm.completion(**ASKED | {"messages": messages}).usage.prompt_tokens


@case
def embedding():
    asked = {name: ASKED[name] for name in ("model", "api_base", "api_key")}
    got = litellm.embedding(**asked, input=[f"data:audio/mpeg;base64,{cases.SONG}"])
    return got.data[0]["embedding"]


@case
def refused():
    return litellm.completion(**ASKED, store=True)


@case
def unknown_model():
    return litellm.completion(**ASKED | {"model": "openai/gpt-4o"})


@case
def without_key():
    return litellm.completion(**HELLO | {"api_base": f"{cases.CLOSED}/v1"})


@case
def busy():
    return litellm.completion(**HELLO | {"api_base": f"{cases.BUSY}/v1"})


@case
def too_long():
    return litellm.completion(**ASKED | {"messages": cases.TOO_LONG})


@case
def closed_stream():
    chunks = litellm.completion(**HELLO | {"api_base": f"{cases.SLOW}/v1"}, stream=True)
    next(chunks)
    chunks.completion_stream.close()
    return cases.until_idle(cases.SLOW)


cases.run()
