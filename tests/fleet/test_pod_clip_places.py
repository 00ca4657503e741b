"""Which clip of a request an error is about, and the same clip in several turns."""

import base64
import json

import pytest

NOISE = base64.b64encode(bytes(range(256)) * 40).decode()
NOT_AUDIO = {
    "invalid": NOISE,
    "empty": "",
    "not base64": "*",
    "truncated": base64.b64encode(b"RIFF\xff\xff\xff\xffWAVEfmt ").decode(),
}


def part(kind, data):
    match kind:
        case "input_audio":
            return {"type": kind, kind: {"data": data, "format": "wav"}}
        case "audio_url":
            return {"type": kind, kind: {"url": f"data:audio/wav;base64,{data}"}}
        case _:
            return {"type": kind, kind: {"data": data}}


def error_of(answer, status=400):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.fixture(scope="module")
def good(clips):
    return base64.b64encode(clips["notes.flac"]).decode()


@pytest.mark.parametrize("name", NOT_AUDIO)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_bad_input_of_several_is_named(http, good, name, at):
    clips = [f"data:audio/wav;base64,{good}"] * 3
    clips[at] = f"data:audio/wav;base64,{NOT_AUDIO[name]}"
    error = error_of(http.post("/v1/embeddings", json={"input": clips}))
    assert (error["code"], error["param"]) == ("invalid_audio", f"input[{at}]")
    assert error["message"].startswith(f"input[{at}]: ")


@pytest.mark.parametrize("url", ["http://127.0.0.1/a.wav", "http://no-such-host.invalid/a.wav"])
def test_an_input_that_cannot_be_fetched_is_named(http, good, url):
    clips = [f"data:audio/wav;base64,{good}", url]
    error = error_of(http.post("/v1/embeddings", json={"input": clips}), 422)
    assert (error["code"], error["param"]) == ("media_fetch_failed", "input[1]")
    assert error["message"].startswith("input[1]: ")


def test_one_input_is_named_without_a_number(http):
    url = f"data:audio/wav;base64,{NOISE}"
    assert error_of(http.post("/v1/embeddings", json={"input": url}))["param"] == "input"
    messages = [{"role": "user", "content": [part("audio", NOISE)]}]
    error = error_of(http.post("/v1/embeddings", json={"messages": messages}))
    assert error["param"] == "messages[0].content[0]"


@pytest.mark.parametrize("name", NOT_AUDIO)
@pytest.mark.parametrize("kind", ["input_audio", "audio_url", "audio"])
def test_the_clip_of_a_chat_is_named_by_its_part(http, kind, name):
    content = [{"type": "text", "text": "Which key?"}, part(kind, NOT_AUDIO[name])]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    error = error_of(http.post("/v1/chat/completions", json={"messages": messages}))
    assert (error["code"], error["param"]) == ("invalid_audio", "messages[1].content[1]")


@pytest.mark.parametrize("route", ["captions", "embeddings", "analyze"])
def test_the_clip_of_our_routes_is_named_by_its_field_or_part(http, route):
    path = f"/v1/audio/{route}"
    assert error_of(http.post(path, json={"audio": {"data": NOISE}}))["param"] == "audio"
    files = {"file": base64.b64decode(NOISE)}
    assert error_of(http.post(path, files=files))["param"] == "file"


def turns(*contents):
    roles = ["user", "assistant"]
    return [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents)]


def ask(http, messages, **options):
    fields = {"messages": messages, "max_tokens": 4, "temperature": 0} | options
    return http.post("/v1/chat/completions", json=fields)


@pytest.mark.parametrize("kind", ["input_audio", "audio_url", "audio"])
def test_a_clip_that_is_attached_in_every_turn_is_heard_once(http, good, kind):
    first, again = part("input_audio", good), part(kind, f"{good}\n")
    texts = [{"type": "text", "text": text} for text in ("Which key?", "Sure?")]
    once = ask(http, turns([first, texts[0]], "D.", [texts[1]])).json()
    twice = ask(http, turns([first, texts[0]], "D.", [texts[1], again])).json()
    assert twice["choices"] == once["choices"]
    for field in ("prompt_tokens", "audio_seconds"):
        assert twice["usage"][field] == once["usage"][field]
    # The whole prompt but its last token is in the cache: it is the same.
    details = twice["usage"]["prompt_tokens_details"]
    assert details["cached_tokens"] >= twice["usage"]["prompt_tokens"] - 1


def test_a_form_may_have_the_clip_of_its_file_in_a_message_too(http, clips, good):
    messages = turns([{"type": "text", "text": "Which key?"}], "D.", [part("audio", good)])
    form = {"request": json.dumps({"messages": messages, "max_tokens": 4})}
    files = {"file": base64.b64decode(good)}
    answer = http.post("/v1/chat/completions", data=form, files=files)
    assert answer.status_code == 200, answer.text


def test_another_clip_in_a_later_turn_is_refused_with_both_places(http, good):
    messages = turns([part("audio", good)], "D.", [part("audio", NOISE)])
    error = error_of(ask(http, messages))
    assert error["param"] == "messages[2].content[0]"
    assert "messages[2].content[0] is another clip than messages[0].content[0]" in error["message"]
