"""What the programs share: the song, the questions, and how they report what came of each case."""

import base64
import json
import os
import time
import typing
import urllib.request

import pydantic

FLEET = os.environ["FLEET"]
CLOSED = os.environ["CLOSED"]
"""A router that requires a key."""
BUSY = os.environ["BUSY"]
"""A router whose pod is overloaded."""
SLOW = os.environ["SLOW"]
"""A router whose pod sends one word and then nothing."""
CALLING = os.environ["CALLING"]
"""A router before a pod whose model calls a function by itself."""
NO_CALLS = json.loads(os.environ["NO_CALLS"])
"""The bias that keeps it from that."""
MODEL = "flamingo-tiny"
QUESTION = "What key is it in?"
SECOND_QUESTION = "And which tempo?"
WORDS = 16
"""How many tokens an answer has at most."""
ENOUGH = 1000
"""How many tokens an object has at most: a model without a mind likes blanks."""
TOO_LONG = [{"role": "user", "content": "la " * 20000}]
IDLE_S = 20.0

with open("song.mp3", "rb") as file:  # noqa: PTH123
    SONG_BYTES = file.read()
SONG = base64.b64encode(SONG_BYTES).decode()


class Song(pydantic.BaseModel):
    genre: typing.Literal["rock", "pop", "jazz"]
    tempo: int = pydantic.Field(ge=40, le=220)
    has_vocals: bool


SCHEMA = Song.model_json_schema()


def about_the_song(question=QUESTION):
    audio = {"data": SONG, "format": "mp3"}
    parts = [
        {"type": "text", "text": question},
        {"type": "input_audio", "input_audio": audio},
    ]
    return {"role": "user", "content": parts}


MESSAGES = [about_the_song()]
HELLO = [{"role": "user", "content": "Hi"}]
CASES = []


def case(function):
    CASES.append(function)
    return function


def until_idle(router):
    """Return whether the pod of a router stops working, while this process still runs."""
    give_up_s = time.monotonic() + IDLE_S
    while time.monotonic() < give_up_s:
        with urllib.request.urlopen(f"{router}/fleet", timeout=IDLE_S) as response:
            if json.load(response)["endpoints"][0]["num_open"] == 0:
                return True
        time.sleep(0.05)  # between two requests to a real process; no result depends on it
    return False


def full_name(kind):
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def outcome(function):
    try:
        return {"returned": function()}
    except Exception as error:  # noqa: BLE001 - the test says which is right
        kinds = [
            f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__
        ]
        return {"raised": kinds, "message": str(error)}


def run():
    results = {function.__name__: outcome(function) for function in CASES}
    print(json.dumps(results, default=str))
