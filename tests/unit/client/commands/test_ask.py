"""What `flamingo ask` requests and prints."""

import json
from pathlib import Path

import pytest
from fakes import pods
from fakes.holding_clips_pod import HoldingClipsPod
from fakes.thinking_pod import ThinkingPod


@pytest.mark.parametrize("flags", [[], ["--no-stream"]], ids=["streamed", "complete"])
def test_ask_prints_the_answer(flamingo, song, flags):
    pod = pods.FakePod()

    result = flamingo("ask", song, "Which key?", *flags, pod=pod)

    assert result.stdout == "a quiet song\n"
    assert b"Which key?" in pod.received[0].body


@pytest.mark.parametrize("flags", [[], ["--no-stream"]], ids=["streamed", "complete"])
def test_reasoning_is_printed_to_standard_error_if_it_is_requested(flamingo, song, flags):
    shown = flamingo("ask", song, "Which key?", "--show-reasoning", *flags, pod=ThinkingPod())
    assert (shown.stdout, shown.stderr) == ("a quiet song\n", "The drums are fast.\n")
    hidden = flamingo("ask", song, "Which key?", *flags, pod=ThinkingPod())
    assert (hidden.stdout, hidden.stderr) == ("a quiet song\n", "")


def test_a_budget_of_reasoning_is_sent(flamingo, song):
    pod = pods.FakePod()
    flamingo("ask", song, "Which key?", "--thinking-token-budget", "64", pod=pod)
    assert b'"thinking_token_budget": 64' in pod.received[0].body
    refused = flamingo("ask", song, "Which key?", "--thinking-token-budget", "-2", pod=pod)
    assert refused.exit_code == 2
    assert "--thinking-token-budget" in refused.output


def test_json_is_a_chat_completion(flamingo, song):
    result = flamingo("ask", song, "Which key?", "--json")

    assert json.loads(result.stdout)["choices"][0]["message"]["content"] == "a quiet song"


def test_several_questions_are_answered_in_their_order_and_the_clip_is_sent_once(flamingo, song):
    pod = HoldingClipsPod()

    result = flamingo("ask", song, "Which key?", "Who sings?", pod=pod)

    expected = ["==> Which key? <==", "a quiet song", "", "==> Who sings? <==", "a quiet song"]
    assert result.stdout.splitlines() == expected
    assert [type(each) for each in pod.sent] == [bytes, str]


def test_standard_input_can_be_asked_about_several_times(flamingo, song):
    pod = HoldingClipsPod()
    audio = Path(song).read_bytes()

    result = flamingo("ask", "-", "Which key?", "Who sings?", "--json", pod=pod, stdin=audio)

    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["question"] for each in answers] == ["Which key?", "Who sings?"]
    assert pod.sent[0] == audio


def test_a_part_is_given_in_seconds_or_minutes(flamingo, song):
    pod = pods.FakePod()

    flamingo("ask", song, "Which key?", "--start", "1:30", "--end", "95.5", pod=pod)

    assert b'"start": 90.0, "end": 95.5' in pod.received[0].body
    refused = flamingo("ask", song, "Which key?", "--start", "1:75", pod=pod)
    assert refused.exit_code == 2
    assert "is not a time" in refused.output
