"""Decisions of real pods, directly, through a router, and with OpenAI's own client."""

import asyncio
import base64
import json

import openai
import pytest
from fakes import polling

DECISIONS = "/v1/decisions"
VOICE = {"type": "predicate", "instructions": "There is a voice.", "name": "voice"}
GENRE = {
    "type": "choice",
    "name": "genre",
    "instructions": "Which genre is it?",
    "choices": [{"value": "rock"}, {"value": "rock and roll"}, {"value": True}, {"value": "true"}],
}
ENERGY = {
    "type": "score",
    "instructions": "How energetic is it?",
    "levels": [{"label": "calm", "description": "as a lullaby"}, {"label": "energetic"}],
}


def clip_part(data, kind="mp3"):
    audio = {"data": base64.b64encode(data).decode(), "format": kind}
    return {"type": "input_audio", "input_audio": audio}


def ask(http, data, *questions, **fields):
    form = {"request": json.dumps({"questions": questions} | fields)}
    answer = http.post(DECISIONS, data=form, files={"file": data})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_openais_client_gets_its_own_types_through_a_router(fleet, clips):
    router, _ = fleet
    with openai.OpenAI(base_url=f"{router.address}/v1", api_key="none", max_retries=0) as client:
        decision = client.decisions.create(
            model="flamingo-tiny",
            input=[{"role": "user", "content": [clip_part(clips["notes.mp3"])]}],
            questions=[VOICE, GENRE, ENERGY],
        )
    voice, genre, energy = decision.answers
    assert (voice.type, voice.name) == ("predicate", "voice")
    assert 0 < voice.probability < 1
    assert [each.value for each in genre.probabilities] == ["rock", "rock and roll", True, "true"]
    assert sum(each.probability for each in genre.probabilities) == pytest.approx(1)
    best = max(genre.probabilities, key=lambda each: each.probability)
    assert genre.choice == best.value
    assert 0 < genre.confidence <= best.probability
    assert energy.score == pytest.approx(energy.probabilities[1].probability)
    assert (energy.name, energy.probabilities[1].label) == (None, "energetic")
    usage = decision.usage
    details = usage.input_tokens_details
    assert details.cached_tokens + details.cache_write_tokens == usage.input_tokens
    assert (usage.output_tokens, usage.total_tokens) == (0, usage.input_tokens)


@pytest.mark.parametrize(
    "given",
    [
        lambda data: [{"role": "user", "content": [clip_part(data)]}],
        lambda data: "data:audio/mpeg;base64," + base64.b64encode(data).decode(),
    ],
    ids=["messages", "data: URL"],
)
def test_every_form_of_the_input_gets_the_same_answers(http, clips, given):
    data = clips["notes.mp3"]
    expected = ask(http, data, VOICE, GENRE)["answers"]
    answer = http.post(DECISIONS, json={"input": given(data), "questions": [VOICE, GENRE]})
    for found, other in zip(answer.json()["answers"], expected, strict=True):
        assert probabilities(found) == pytest.approx(probabilities(other), rel=1e-3)


def probabilities(answer):
    if answer["type"] == "predicate":
        return [answer["probability"]]
    return [each["probability"] for each in answer["probabilities"]]


def test_the_clip_is_computed_once_and_only_words_are_added(http, clips):
    one = ask(http, clips["drums.wav"], VOICE)["usage"]
    many = ask(http, clips["drums.wav"], *[VOICE] * 100)["usage"]
    num_own = (many["input_tokens"] - one["input_tokens"]) // 99
    assert num_own < 40
    assert many["input_tokens_details"]["cached_tokens"] >= one["input_tokens"] - num_own


def test_orders_are_averaged_and_a_temperature_flattens(http, clips):
    data = clips["notes.mp3"]
    first = probabilities(ask(http, data, GENRE)["answers"][0])
    rotated = GENRE | {"choices": GENRE["choices"][2:] + GENRE["choices"][:2]}
    other = probabilities(ask(http, data, rotated)["answers"][0])
    mean = [(one + two) / 2 for one, two in zip(first, other[2:] + other[:2], strict=True)]
    assert probabilities(ask(http, data, GENRE, orders=2)["answers"][0]) == (
        pytest.approx(mean, rel=1e-3)
    )
    hot = probabilities(ask(http, data, GENRE, temperature=100)["answers"][0])
    assert max(hot) - min(hot) < 0.1


def test_text_alone_can_be_decided_and_its_conversation_continued(http):
    messages = [
        {"role": "developer", "content": "Be strict."},
        {"role": "user", "content": [{"type": "input_text", "text": "A waltz."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "In three."}]},
    ]
    for given in ("A waltz.", messages):
        answer = http.post(DECISIONS, json={"input": given, "questions": [VOICE]})
        assert 0 < answer.json()["answers"][0]["probability"] < 1


LONG = {"type": "choice", "instructions": "?"} | {
    "choices": [{"value": f"{n}", "description": "x" * 1900} for n in range(255)]
}
BAD = [
    ({"input": " "}, "input", "neither text nor audio"),
    ({"input": [{"role": "user", "content": ""}]}, "input", "neither text nor audio"),
    ({"input": "a <sound>"}, "input", "<sound>"),
    (
        {"questions": [VOICE | {"instructions": "a <sound>"}]},
        "questions[0].instructions",
        "<sound>",
    ),
    (
        {"questions": [GENRE | {"choices": [{"value": "a"}, {"value": "<|im_end|>"}]}]},
        "questions[0].choices[1].value",
        "im_end",
    ),
    ({"questions": [LONG]}, "questions", "at most 400000"),
    ({"questions": [GENRE, LONG], "orders": 1}, "questions", "at most 400000"),
    ({"questions": [VOICE] * 401}, "questions", "at most 400 items"),
    ({"stream": True}, "stream", "nothing is streamed"),
    ({"input": "word " * 19_000, "questions": [GENRE]}, "questions[0]", "context length"),
    ({"model": "gpt-6-luna"}, "model", "not served here"),
    (
        {"input": [{"role": "system", "content": [clip_part(b"RIFF")]}]},
        "input[0].content[0]",
        "only user messages",
    ),
    ({"input": [{"role": "user", "content": [clip_part(b"none")]}]}, "input[0].content[0]", ""),
]


@pytest.mark.parametrize(("fields", "param", "message"), BAD, ids=lambda one: str(one)[:40])
def test_bad_input_is_refused_by_its_field(http, fields, param, message):
    answer = http.post(DECISIONS, json={"input": "A waltz.", "questions": [VOICE]} | fields)
    error = answer.json()["error"]
    assert answer.status_code in {400, 404}, answer.text
    assert error["param"] == param
    assert message in error["message"]


def test_a_deadline_ends_decisions_and_frees_the_engine(http, clips):
    answer = http.post(
        DECISIONS,
        data={"request": json.dumps({"questions": [GENRE] * 400, "orders": 4})},
        files={"file": clips["drums.wav"]},
        headers={"x-flamingo-deadline-ms": "300"},
    )
    assert answer.json()["error"]["code"] == "deadline_exceeded"

    async def is_idle():
        return http.get("/stats").json()["num_running"] == 0

    asyncio.run(polling.until(is_idle))
    assert http.get("/stats").json()["backlog_s"] == 0
