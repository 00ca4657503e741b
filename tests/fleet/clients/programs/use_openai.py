"""The official client for Python, in any version since 1.0."""

import cases
import openai
from cases import case

client = openai.OpenAI(base_url=f"{cases.FLEET}/v1", api_key="none", max_retries=0)
ASKED = {"model": cases.MODEL, "messages": cases.MESSAGES, "max_tokens": cases.WORDS}


def hello(router, **options):
    caller = openai.OpenAI(base_url=f"{router}/v1", api_key="none", max_retries=1)
    return caller.chat.completions.create(model=cases.MODEL, messages=cases.HELLO, **options)


@case
def answer():
    got = client.chat.completions.create(**ASKED)
    return {"text": got.choices[0].message.content, "usage": got.usage.model_dump()}


@case
def stream():
    chunks = client.chat.completions.create(**ASKED, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@case
def typed():
    asked = ASKED | {"max_tokens": cases.ENOUGH}
    completions = client.chat.completions
    if not hasattr(completions, "parse"):
        completions = getattr(client, "beta", client).chat.completions
    if hasattr(completions, "parse"):
        got = completions.parse(**asked, response_format=cases.Song)
        return got.choices[0].message.parsed.model_dump()
    schema = cases.Song.model_json_schema() | {"additionalProperties": False}
    kind = {"type": "json_schema", "json_schema": {"name": "Song", "schema": schema}}
    wanted = {"response_format": kind}
    got = completions.create(**asked, extra_body=wanted)
    return cases.Song.model_validate_json(got.choices[0].message.content).model_dump()


@case
def second_turn():
    said = client.chat.completions.create(**ASKED).choices[0].message
    messages = [*cases.MESSAGES, said, cases.about_the_song(cases.SECOND_QUESTION)]
    return client.chat.completions.create(**ASKED | {"messages": messages}).usage.prompt_tokens


@case
def embedding():
    song = f"data:audio/mpeg;base64,{cases.SONG}"
    return client.embeddings.create(model=cases.MODEL, input=song).data[0].embedding


@case
def refused():
    return client.chat.completions.create(**ASKED, extra_body={"store": True})


@case
def unknown_model():
    return client.chat.completions.create(**ASKED | {"model": "gpt-4o"})


@case
def without_key():
    return hello(cases.CLOSED)


@case
def busy():
    return hello(cases.BUSY)


@case
def too_long():
    return client.chat.completions.create(**ASKED | {"messages": cases.TOO_LONG})


@case
def closed_stream():
    chunks = hello(cases.SLOW, stream=True)
    next(iter(chunks))
    chunks.response.close()
    return cases.until_idle(cases.SLOW)


cases.run()
