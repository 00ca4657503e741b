"""A chat's messages as turns, and the one clip that they may have."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import requests
from flamingo_pod.api import chat


def test_two_audio_parts_are_rejected():
    part = {"type": "input_audio", "input_audio": {"data": "AAAA"}}
    request = requests.ChatRequest.model_validate(
        {"messages": [{"role": "user", "content": [part, part]}]}
    )
    with pytest.raises(BadRequest, match="2 audio parts; the maximum is 1"):
        chat.conversation(request.messages, None)


def test_audio_in_a_message_of_the_assistant_is_rejected():
    part = {"type": "audio", "audio": {"url": "https://example.org/a.mp3"}}
    request = requests.ChatRequest.model_validate(
        {"messages": [{"role": "assistant", "content": [part]}]}
    )
    with pytest.raises(BadRequest, match="assistant"):
        chat.conversation(request.messages, None)


def test_a_file_belongs_to_the_users_first_turn():
    request = requests.ChatRequest.model_validate(
        {
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "user", "content": "What key?"},
                {"role": "assistant", "content": "D."},
                {"role": "user", "content": "Sure?"},
            ]
        }
    )
    turns, audio = chat.conversation(request.messages, b"RIFF")
    assert audio == b"RIFF"
    assert [turn.has_audio for turn in turns] == [False, True, False, False]
    assert turns[0].role == "system"
