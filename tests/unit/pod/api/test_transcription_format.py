"""What a transcription asks the model, and its answer in OpenAI's formats."""

import pytest

from flamingo_common.errors import AnswerWithoutTimes
from flamingo_common.wire import parse
from flamingo_common.wire.responses import PromptTokensDetails, Usage
from flamingo_common.wire.transcriptions import TranscriptionRequest
from flamingo_pod.api import transcription_format
from flamingo_pod.api.transcription_format import Answer

TIMED = "[Verse 1]\n[00:01.50] Hello\n[00:03.00] World\n"
PLAIN = "[Verse 1]\nHello\nWorld\n"


def request(**fields):
    return parse.validate_request(TranscriptionRequest, {"audio": {"data": ""}} | fields)


def answer(text, reason="stop", start_s=0.0):
    usage = Usage(
        prompt_tokens=10,
        completion_tokens=2,
        total_tokens=12,
        prompt_tokens_details=PromptTokensDetails(audio_tokens=7, text_tokens=3),
        audio_seconds=5.0,
        audio_start_seconds=start_s,
    )
    return Answer(text, reason, usage, temperature=0.5)


def test_the_prompt_is_that_of_the_models_authors():
    assert transcription_format.prompt(request()) == transcription_format.LYRICS


def test_times_language_and_hints_are_added_to_the_prompt():
    asked = request(response_format="srt", language="de", prompt="By Kraftwerk.")
    text = transcription_format.prompt(asked)
    assert text.startswith(f"{transcription_format.LYRICS} {transcription_format.TIMES} ")
    assert text.endswith("code de. By Kraftwerk.")


def test_options_are_those_of_a_caption_with_this_prompt():
    made = transcription_format.caption_options(request(max_tokens=5, temperature=0.2))
    assert (made.max_tokens, made.temperature, made.prompt) == (5, 0.2, transcription_format.LYRICS)


def test_json_has_the_answer_as_it_is():
    made = transcription_format.plain(answer(PLAIN, "length"))
    assert (made.text, made.finish_reason) == (PLAIN, "length")
    assert made.usage.model_dump() == {
        "type": "tokens",
        "audio_seconds": 5.0,
        "input_tokens": 10,
        "input_token_details": {"audio_tokens": 7, "text_tokens": 3},
        "output_tokens": 2,
        "total_tokens": 12,
    }


def test_verbose_json_has_a_segment_for_each_line_with_a_time():
    asked = request(response_format="verbose_json", language="en")
    made = transcription_format.verbose(asked, answer(TIMED))
    assert [(each.id, each.start, each.end, each.text) for each in made.segments] == [
        (0, 1.5, 3.0, "Hello"),
        (1, 3.0, 5.0, "World"),
    ]
    assert (made.text, made.language, made.duration) == ("Hello\nWorld", "en", 5.0)


def test_an_answer_without_times_has_no_segments():
    made = transcription_format.verbose(request(response_format="verbose_json"), answer(PLAIN))
    assert (made.segments, made.text, made.language) == ([], "Hello\nWorld", "und")


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("text", "[Verse 1]\n"),
        ("srt", "1\n00:00:01,500 --> 00:00:03,000\nHello\n"),
        ("vtt", "WEBVTT\n\n00:00:01.500 --> 00:00:03.000\nHello\n"),
    ],
)
def test_other_formats_are_text(kind, begins):
    text = transcription_format.as_text(request(response_format=kind), answer(TIMED))
    assert text.startswith(begins)


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_subtitles_of_an_answer_without_times_are_refused_rather_than_invented(kind):
    with pytest.raises(AnswerWithoutTimes, match="no times") as caught:
        transcription_format.as_text(request(response_format=kind), answer(PLAIN))
    assert caught.value.param == "response_format"


IN_PART = "[01:01.50] Hello\n[01:03.00] World\n"


def test_the_times_of_a_part_are_those_of_the_whole_clip():
    made = transcription_format.verbose(request(), answer(IN_PART, start_s=60.0))
    assert [(one.start, one.end) for one in made.segments] == [(61.5, 63.0), (63.0, 65.0)]
    assert (made.faults, made.duration) == ([], 5.0)
    subtitles = transcription_format.as_text(
        request(response_format="srt"), answer(IN_PART, start_s=60.0)
    )
    assert subtitles.startswith("1\n00:01:01,500 --> 00:01:03,000\nHello\n")


def test_a_time_before_the_part_is_a_fault_and_no_segment():
    made = transcription_format.verbose(request(), answer("[00:01.50] Hello", start_s=60.0))
    assert made.segments == []
    assert made.faults == ["line 1: starts at 0:01.5, before the part at 1:00.0"]
    with pytest.raises(AnswerWithoutTimes):
        transcription_format.as_text(
            request(response_format="vtt"), answer("[00:01.50] Hello", start_s=60.0)
        )
