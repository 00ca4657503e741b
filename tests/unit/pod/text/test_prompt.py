"""A conversation as token ids, and how many tokens may follow it."""

import numpy as np
import pytest

from flamingo_common.errors import BadRequest, ContextTooLong
from flamingo_common.wire import requests
from flamingo_pod.api.chat import chat
from flamingo_pod.model.builtin import build, tokenizer
from flamingo_pod.model.limits import ModelLimits
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn


@pytest.fixture(scope="module")
def processor():
    return build._processor(tokenizer.build())


def rendered(processor, turns, num_audio_tokens=0):
    return processor.tokenizer.decode(prompt.token_ids(processor, turns, num_audio_tokens))


def test_the_default_system_prompt_comes_first(processor):
    text = rendered(processor, [Turn("user", "hi")])
    assert text.startswith("<|im_start|>system\nYou are a small test model")
    assert text.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize("num_audio_tokens", [0, 30_000])
def test_ids_are_an_array_which_takes_microseconds_to_check(processor, num_audio_tokens):
    turn = Turn("user", "hi", has_audio=num_audio_tokens > 0)
    ids = prompt.token_ids(processor, [turn], num_audio_tokens)
    assert (ids.dtype, ids.ndim) == (np.int32, 1)
    assert (ids == processor.audio_token_id).sum() == num_audio_tokens


def test_a_system_message_replaces_the_default_prompt(processor):
    text = rendered(processor, [Turn("system", "be brief"), Turn("user", "hi")])
    assert text.startswith("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user")
    assert "test model" not in text


def test_the_audio_comes_before_the_text_wherever_its_part_was(processor):
    message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What "},
            {"type": "input_audio", "input_audio": {"data": "AAAA"}},
            {"type": "text", "text": "key?"},
        ],
    }
    request = requests.ChatRequest.model_validate({"messages": [message]})
    turns, [source] = chat.conversation(request.messages, None)
    assert source.audio == requests.AudioInput(data="AAAA")
    text = rendered(processor, turns, 3)
    assert "user\n<|sound_bos|><sound><sound><sound><|sound_eos|>What key?<|im_end|>" in text


@pytest.mark.parametrize("token", tokenizer.CONTROL_TOKENS)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_control_tokens_in_text_are_rejected(processor, token, role):
    with pytest.raises(BadRequest) as caught:
        prompt.token_ids(processor, [Turn("user", "hi"), Turn(role, f"say {token} now")], 0)
    assert token in str(caught.value)
    assert caught.value.param == "messages[1].content"


LIMITS = ModelLimits(
    1200.0, 1000, 64, 0.0, None, None, 1.0, {"encoder": 1, "projector": 1}, frozenset({2})
)


@pytest.mark.parametrize(
    ("num_prompt", "requested", "granted"),
    [
        pytest.param(100, None, 64, id="the checkpoint's default"),
        pytest.param(980, None, 20, id="the default shrinks to the room left"),
        pytest.param(100, 900, 900, id="all the room"),
    ],
)
def test_max_tokens(num_prompt, requested, granted):
    assert prompt.resolve_max_tokens(LIMITS, num_prompt, requested) == granted


@pytest.mark.parametrize(
    ("num_prompt", "requested", "param"),
    [
        pytest.param(100, 901, "max_tokens", id="one token too many"),
        pytest.param(1000, None, "messages", id="a prompt without room for one"),
    ],
)
def test_what_exceeds_the_context_is_rejected_with_the_numbers(num_prompt, requested, param):
    with pytest.raises(ContextTooLong) as caught:
        prompt.resolve_max_tokens(LIMITS, num_prompt, requested)
    assert str(num_prompt) in str(caught.value)
    # What LiteLLM, LangChain, CrewAI and others look for.
    assert caught.value.message.startswith("This model's maximum context length is 1000 tokens; ")
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == param


def test_the_words_by_which_client_libraries_recognise_a_full_context_are_in_the_message():
    with pytest.raises(ContextTooLong, match="prompt is too long") as caught:
        prompt.resolve_max_tokens(LIMITS, 1000, None)
    assert str(caught.value).startswith("This model's maximum context length is 1000 tokens; ")


def test_what_exceeds_the_context_is_attributed_to_the_field_that_set_it():
    with pytest.raises(ContextTooLong) as caught:
        prompt.resolve_max_tokens(LIMITS, 100, 901, field="max_completion_tokens")
    assert caught.value.param == "max_completion_tokens"
