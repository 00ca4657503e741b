"""LangChain's ChatOpenAI, with its own blocks of audio."""

import cases
from cases import case
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

AUDIO = {"type": "audio", "base64": cases.SONG, "mime_type": "audio/mpeg"}


def model(router=cases.FLEET, **options):
    asked = {"model": cases.MODEL, "max_tokens": cases.WORDS} | options
    return ChatOpenAI(base_url=f"{router}/v1", api_key="none", max_retries=0, **asked)


def about_the_song(question=cases.QUESTION):
    return HumanMessage([{"type": "text", "text": question}, AUDIO])


@case
def answer():
    got = model().invoke([about_the_song()])
    return {"text": got.text, "usage": got.usage_metadata}


@case
def stream():
    return "".join(chunk.text for chunk in model().stream([about_the_song()]))


@case
def stream_usage():
    chunks = list(model(stream_usage=True).stream([about_the_song()]))
    return [chunk.usage_metadata["input_tokens"] for chunk in chunks if chunk.usage_metadata]


@case
def typed():
    structured = model(max_tokens=cases.ENOUGH).with_structured_output(cases.Song)
    return structured.invoke([about_the_song()]).model_dump()


@case
def called_function():
    structured = model(max_tokens=cases.ENOUGH).with_structured_output(
        cases.Song, method="function_calling"
    )
    return structured.invoke([about_the_song()]).model_dump()


def bound():
    return model(max_tokens=cases.ENOUGH).bind_tools([cases.Song], tool_choice="any")


@case
def any_function():
    return bound().invoke([about_the_song()]).tool_calls[0]["args"]


@case
def streamed_call():
    first, *others = bound().stream([about_the_song()])
    return sum(others, first).tool_calls[0]["args"]


@case
def left_to_the_model():
    chosen = model(cases.CALLING, max_tokens=cases.ENOUGH).bind_tools([cases.Song])
    first, *others = chosen.stream([about_the_song()])
    said = sum(others, first)
    return [said.text, said.tool_calls[0]["args"]]


@case
def after_a_result():
    said = bound().invoke([about_the_song()])
    result = ToolMessage("It was added.", tool_call_id=said.tool_calls[0]["id"])
    return model().invoke([about_the_song(), said, result]).text


@case
def second_turn():
    said = model().invoke([about_the_song()])
    messages = [about_the_song(), said, about_the_song(cases.SECOND_QUESTION)]
    return model().invoke(messages).usage_metadata["input_tokens"]


@case
def embedding():
    # Without the switch it downloads a tokenizer, to count the tokens of a text that is audio.
    embeddings = OpenAIEmbeddings(
        model=cases.MODEL,
        base_url=f"{cases.FLEET}/v1",
        api_key="none",
        check_embedding_ctx_length=False,
    )
    return embeddings.embed_query(f"data:audio/mpeg;base64,{cases.SONG}")


@case
def refused():
    return model(store=True).invoke([about_the_song()])


@case
def unknown_model():
    return model(model="gpt-4o").invoke([about_the_song()])


@case
def without_key():
    return model(cases.CLOSED).invoke("Hi")


@case
def busy():
    return model(cases.BUSY).invoke("Hi")


@case
def too_long():
    return model().invoke(cases.TOO_LONG[0]["content"])


@case
def closed_stream():
    chunks = model(cases.SLOW).stream("Hi")
    next(chunks)
    chunks.close()
    return cases.until_idle(cases.SLOW)


cases.run()
