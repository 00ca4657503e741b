"""Requests of `/v1/audio/transcriptions`."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse
from flamingo_common.wire.transcriptions import TranscriptionRequest


def parsed(*, is_form=False, **fields):
    asked = {"audio": {"data": ""}} | fields
    return parse.validate_request(TranscriptionRequest, asked, is_form=is_form)


def test_what_openais_clients_send_in_a_form_is_accepted():
    made = parsed(
        is_form=True,
        model="flamingo-tiny",
        response_format="verbose_json",
        timestamp_granularities="segment",
        temperature="0",
        language="en",
        chunking_strategy="auto",
        stream="false",
    )
    assert made.timestamp_granularities == ["segment"]
    assert (made.temperature, made.stream, made.has_times) == (0.0, False, True)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"response_format": "diarized_json"}, "response_format", "'verbose_json'"),
        ({"response_format": "srt", "stream": True}, "response_format", "with stream: true"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities[0]", "'segment'"),
        ({"timestamp_granularities": ["segment"]}, "timestamp_granularities", "verbose_json"),
        ({"language": "german"}, "language", "such as en"),
        ({"include": ["logprobs"]}, "include", "/v1/chat/completions"),
        ({"keywords": ["Blue"]}, "keywords", "prompt"),
        ({"known_speaker_names": ["Joni"]}, "known_speaker_names", "voices"),
        ({"response_formt": "srt"}, "response_formt", "did you mean 'response_format'"),
    ],
)
def test_an_error_names_the_field_and_what_to_use(fields, param, words):
    with pytest.raises(BadRequest) as caught:
        parsed(**fields)
    assert caught.value.param == param
    assert words in caught.value.message
