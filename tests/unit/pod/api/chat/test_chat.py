"""A chat's messages as turns, and the one clip that they may have."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import requests
from flamingo_pod.api.chat import chat
from flamingo_pod.audio.memory_file import MemoryFile


def test_every_clip_is_returned_with_its_place_and_the_first_is_heard():
    part = {"type": "input_audio", "input_audio": {"data": "AAAA"}}
    text = {"type": "text", "text": "Which key?"}
    request = requests.ChatRequest.model_validate(
        {
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "user", "content": [text, part]},
                {"role": "user", "content": [part]},
            ]
        }
    )
    turns, sources = chat.conversation(request.messages, None)
    assert [each.place for each in sources] == ["messages[1].content[1]", "messages[2].content[0]"]
    assert [turn.has_audio for turn in turns] == [False, True, False]


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
    with MemoryFile() as file:
        turns, [source] = chat.conversation(request.messages, file)
        assert (source.audio, source.place) == (file, "file")
    assert [turn.has_audio for turn in turns] == [False, True, False, False]
    assert turns[0].role == "system"
