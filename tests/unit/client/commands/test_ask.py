"""What `flamingo ask` requests and prints."""

import json

import pytest
from fakes import pods


@pytest.mark.parametrize("flags", [[], ["--no-stream"]], ids=["streamed", "complete"])
def test_ask_prints_the_answer(flamingo, song, flags):
    pod = pods.FakePod()

    result = flamingo("ask", song, "Which key?", *flags, pod=pod)

    assert result.stdout == "a quiet song\n"
    assert b"Which key?" in pod.received[0].body


def test_json_is_a_chat_completion(flamingo, song):
    result = flamingo("ask", song, "Which key?", "--json")

    assert json.loads(result.stdout)["choices"][0]["message"]["content"] == "a quiet song"
