"""OpenAI's transcription API, by the `openai` package."""

import httpx2
import openai
import pytest

SECOND = r"\[00:0[01]\.[0-4]0\] [a-z]{3,8}"
TWO_LINES = {"regex": rf"\[Verse 1\]\n{SECOND}\n{SECOND}"}
"""Stands for a model that knows when a line is sung."""


@pytest.fixture
def client(fleet):
    router, _ = fleet
    with openai.OpenAI(base_url=f"{router.address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def transcribe(client, clips):
    def create(**options):
        file = ("song.mp3", clips["notes.mp3"])
        return client.audio.transcriptions.create(model="flamingo-tiny", file=file, **options)

    return create


def test_the_text_is_the_same_in_json_in_plain_text_and_in_a_stream(transcribe):
    whole = transcribe()
    events = [*transcribe(stream=True)]
    assert transcribe(response_format="text") == whole.text
    assert events[-1].text == whole.text == "".join(event.delta for event in events[:-1])
    assert events[-1].usage.to_dict() == whole.usage.to_dict()
    assert whole.usage.input_token_details.audio_tokens == pytest.approx(37, abs=2)


def test_the_clip_can_be_asked_about_by_its_id(client, transcribe):
    part = {"type": "input_audio", "input_audio": transcribe().audio}
    asked = {"role": "user", "content": [{"type": "input_text", "text": "Which key?"}, part]}
    answer = client.responses.create(model="flamingo-tiny", input=[asked])
    assert answer.usage.input_tokens_details.audio_tokens == pytest.approx(37, abs=2)


def test_lines_with_times_become_segments_and_subtitles(transcribe):
    options = {"extra_body": {"request": '{"structured_outputs": {"regex": "%s"}}'}}
    options["extra_body"]["request"] %= TWO_LINES["regex"].replace("\\", "\\\\")
    verbose = transcribe(
        response_format="verbose_json", timestamp_granularities=["segment"], **options
    )
    assert [segment.id for segment in verbose.segments] in ([0], [0, 1])
    assert "[" not in verbose.text
    assert " --> " in transcribe(response_format="srt", **options)
    assert transcribe(response_format="vtt", **options).startswith("WEBVTT\n")


def test_times_are_not_invented(transcribe):
    assert transcribe(response_format="verbose_json").segments == []
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        transcribe(response_format="srt")
    assert caught.value.code == "answer_without_times"


def test_translations_are_refused_with_what_to_use(client, clips):
    url = f"{client.base_url}audio/translations"
    answer = httpx2.post(url, files={"file": ("a.mp3", clips["notes.mp3"])})
    assert answer.status_code == 404
    assert "/v1/audio/transcriptions" in answer.json()["error"]["message"]


def test_the_clip_is_charged_and_an_invalid_one_is_named(client, transcribe):
    raw = client.audio.transcriptions.with_raw_response.create
    with pytest.raises(openai.BadRequestError) as caught:
        raw(model="flamingo-tiny", file=("a.mp3", b"no music"))
    assert (caught.value.code, caught.value.param) == ("invalid_audio", "file")
