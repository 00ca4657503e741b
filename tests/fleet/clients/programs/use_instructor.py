"""instructor around OpenAI's client; it has no answers but objects."""

import cases
import instructor
import pydantic
from cases import case


class Closed(cases.Song):
    """Schemas are not closed by instructor, and a model without a mind adds what it likes."""

    model_config = pydantic.ConfigDict(extra="forbid")


ASKED = {"response_model": cases.Song, "max_tokens": cases.ENOUGH, "max_retries": 1}


def client(router=cases.FLEET, name=cases.MODEL, **options):
    where = {"base_url": f"{router}/v1", "api_key": "none"}
    return instructor.from_provider(f"openai/{name}", **where, **options)


@case
def typed():
    return client().create(messages=cases.MESSAGES, **ASKED).model_dump()


@case
def streamed_object():
    *_, last = client().create_partial(messages=cases.MESSAGES, **ASKED)
    return last.model_dump()


@case
def json_schema():
    got = client(mode=instructor.Mode.JSON_SCHEMA)
    return got.create(messages=cases.MESSAGES, **ASKED | {"response_model": Closed}).model_dump()


@case
def asked_again():
    tries = []

    class Checked(cases.Song):
        @pydantic.field_validator("tempo")
        @classmethod
        def refuse_the_first(cls, tempo: int) -> int:
            tries.append(tempo)
            if len(tries) == 1:
                raise ValueError("listen again")
            return tempo

    asked = ASKED | {"response_model": Checked, "max_retries": 2}
    song = client().create(messages=cases.MESSAGES, **asked)
    return {"num_requests": len(tries)} | song.model_dump()


@case
def usage():
    _, got = client().create_with_completion(messages=cases.MESSAGES, **ASKED)
    return got.usage.model_dump()


@case
def refused():
    return client().create(messages=cases.MESSAGES, store=True, **ASKED)


@case
def unknown_model():
    return client(name="gpt-4o").create(messages=cases.MESSAGES, **ASKED)


@case
def without_key():
    return client(cases.CLOSED).create(messages=cases.HELLO, **ASKED)


@case
def busy():
    return client(cases.BUSY).create(messages=cases.HELLO, **ASKED)


@case
def too_long():
    return client().create(messages=cases.TOO_LONG, **ASKED)


cases.run()
