"""Clips that are used again by their id: a router with keys before two pods, all real."""

import base64
import contextlib
import json

import httpx2
import openai
import pytest
from fakes import processes
from fakes.patience import PATIENCE_S

from flamingo import ClipId, FlamingoClient, errors
from flamingo_common.service import keys
from flamingo_common.wire import AUDIO_ID_HEADER

ALICE, BOB, ROUTER = "fk-alice", "fk-bob", "fk-router"
CAPTIONS, EMBEDDINGS, CHAT = "/v1/audio/captions", "/v1/audio/embeddings", "/v1/chat/completions"


@pytest.fixture(scope="module")
def keyed(model_cache, tmp_path_factory):
    """Start a router before two pods; they read one key file."""
    folder = tmp_path_factory.mktemp("held")
    entries = [{"name": name, "sha256": keys.digest_of(f"fk-{name}")} for name in ("alice", "bob")]
    router_key = {"name": "router", "sha256": keys.digest_of(ROUTER), "may": ["observe"]}
    (folder / "keys").write_text(json.dumps({"keys": [*entries, router_key]}))
    (folder / "pod-key").write_text(ROUTER)
    flags = ("--key-file", str(folder / "keys"))
    with contextlib.ExitStack() as stack:
        pods = [
            stack.enter_context(
                processes.service("flamingo_pod", *flags, log=folder / f"pod-{number}")
            )
            for number in (1, 2)
        ]
        for pod in pods:
            processes.wait_until_ready(pod)
        endpoints = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        asking = ("--pod-key-file", str(folder / "pod-key"), "--expose-endpoint")
        router = stack.enter_context(
            processes.service("flamingo_router", *endpoints, *asking, *flags, log=folder / "router")
        )
        processes.wait_until_ready(router)
        yield router, pods


def post(service, path, *, key=ALICE, **options):
    return httpx2.post(
        service.address + path,
        headers={"Authorization": f"Bearer {key}"},
        timeout=PATIENCE_S,
        **options,
    )


def form(**fields):
    """Return the options of a form without a file."""
    return {"files": {name: (None, value) for name, value in fields.items()}}


def send(service, clip, *, path=EMBEDDINGS, key=ALICE, **fields):
    response = post(service, path, key=key, data=fields, files={"file": ("a", clip)})
    assert response.status_code == 200, response.text
    return response


def endpoint_of(response):
    return response.headers["x-flamingo-endpoint"]


def test_a_clip_is_used_again_at_the_pod_that_holds_it_in_every_form_of_its_id(keyed, clips):
    router, _ = keyed
    sent = send(router, clips["notes.mp3"], path=CAPTIONS, max_tokens="4")
    clip_id = sent.json()["audio"]["id"]
    assert sent.headers[AUDIO_ID_HEADER] == clip_id
    question = {"type": "text", "text": "What key is it in?"}
    parts = [
        {"type": "input_audio", "input_audio": {"id": clip_id}},
        {"type": "audio_url", "audio_url": None, "uuid": clip_id},
        {"type": "file", "file": {"file_id": clip_id}},
    ]
    chats = [{"messages": [{"role": "user", "content": [part, question]}]} for part in parts]
    bodies = [(CHAT, {"json": chat | {"max_tokens": 4, "temperature": 0}}) for chat in chats]
    bodies += [
        (CHAT, form(audio_id=clip_id, prompt="Why?", max_tokens="4")),
        (CAPTIONS, {"json": {"audio": {"id": clip_id}, "max_tokens": 4}}),
        ("/v1/audio/analyze", form(audio_id=clip_id, max_tokens="4")),
        ("/v1/embeddings", {"json": {"input": clip_id}}),
    ]
    answers = [post(router, path, **body) for path, body in bodies]
    assert [each.status_code for each in answers] == [200] * len(bodies)
    assert {endpoint_of(each) for each in (sent, *answers)} == {endpoint_of(sent)}
    assert {each.headers[AUDIO_ID_HEADER] for each in answers} == {clip_id}
    texts = {each.json()["choices"][0]["message"]["content"] for each in answers[:3]}
    assert len(texts) == 1
    assert answers[4].json()["caption"] == sent.json()["caption"]
    assert answers[4].json()["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


def test_an_id_and_a_new_clip_are_used_at_the_pod_that_holds_the_first(keyed, clips):
    router, _ = keyed
    sent = send(router, clips["notes.mp3"])
    other = f"data:audio/flac;base64,{base64.b64encode(clips['notes.flac']).decode()}"
    for start in range(4):  # other parts of the clip: each would otherwise go to any pod
        body = {"input": [sent.headers[AUDIO_ID_HEADER], other], "start": start / 4}
        answer = post(router, "/v1/embeddings", json=body)
        assert answer.status_code == 200, answer.text
        assert endpoint_of(answer) == endpoint_of(sent)


def test_what_an_id_gives_equals_what_the_clip_gives_bit_for_bit(keyed, clips):
    router, _ = keyed
    sent = send(router, clips["notes.flac"], encoding_format="npy")
    fields = form(audio_id=sent.headers[AUDIO_ID_HEADER], encoding_format="npy")
    again = post(router, EMBEDDINGS, **fields)
    assert again.content == sent.content
    assert again.headers["x-flamingo-audio-seconds"] == sent.headers["x-flamingo-audio-seconds"]


def test_the_id_of_another_keys_clip_is_as_unknown_as_one_that_was_never_sent(keyed, clips):
    router, pods = keyed
    alices = send(router, clips["drums.wav"]).headers[AUDIO_ID_HEADER]
    never_sent = "clip-" + "0" * 40
    for service in (router, *pods):
        foreign, unknown = (
            post(service, EMBEDDINGS, key=BOB, **form(audio_id=each))
            for each in (alices, never_sent)
        )
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json() == unknown.json()
        assert foreign.json()["error"]["code"] == "clip_not_held"
        assert "send the clip again" in foreign.json()["error"]["message"]
    bobs = send(router, clips["drums.wav"], key=BOB).headers[AUDIO_ID_HEADER]
    assert bobs != alices, "an id does not show that two keys have sent the same clip"


NEVER_SENT = "clip-" + "2" * 40
PART = {"type": "input_audio", "input_audio": {"id": NEVER_SENT}}
ITEM = {"type": "input_file", "file_id": NEVER_SENT}
SAID = {"type": "text", "text": "Hello"}
MESSAGES = [{"role": "user", "content": "Hello"}, {"role": "user", "content": [SAID, PART]}]
INPUT = [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}, ITEM]}]
ASKED = {"questions": [{"type": "predicate", "instructions": "Is there a voice?"}]}
FIELDS = {
    "chat": (CHAT, {"json": {"messages": MESSAGES}}, "messages[1].content[1]"),
    "chat form": (CHAT, form(prompt="Why?", audio_id=NEVER_SENT), "audio_id"),
    "captions": (CAPTIONS, {"json": {"audio": {"id": NEVER_SENT}}}, "audio"),
    "captions form": (CAPTIONS, form(audio_id=NEVER_SENT), "audio_id"),
    "in request": (CAPTIONS, form(request=json.dumps({"audio_id": NEVER_SENT})), "audio_id"),
    "analysis": ("/v1/audio/analyze", {"json": {"audio": {"id": NEVER_SENT}}}, "audio"),
    "embeddings": ("/v1/embeddings", {"json": {"input": NEVER_SENT}}, "input"),
    "several": ("/v1/embeddings", {"json": {"input": [NEVER_SENT] * 2}}, "input[0]"),
    "messages": (
        "/v1/embeddings",
        {"json": {"messages": [{"role": "user", "content": [PART]}]}},
        "messages[0].content[0]",
    ),
    "embeddings form": ("/v1/embeddings", form(audio_id=NEVER_SENT), "audio_id"),
    "responses": ("/v1/responses", {"json": {"input": INPUT}}, "input[0].content[1]"),
    "decisions": ("/v1/decisions", {"json": {"input": NEVER_SENT} | ASKED}, "input"),
    "decided": ("/v1/decisions", {"json": {"input": MESSAGES} | ASKED}, "input[1].content[1]"),
    "transcriptions": ("/v1/audio/transcriptions", form(audio_id=NEVER_SENT), "audio_id"),
}


@pytest.mark.parametrize(("path", "body", "field"), FIELDS.values(), ids=FIELDS)
def test_router_and_pod_name_the_field_of_an_id_that_is_not_held(keyed, path, body, field):
    router, [pod, _] = keyed
    answers = [post(service, path, **body) for service in (router, pod)]
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (404, "clip_not_held", field)


def test_the_clips_of_openais_clients_are_used_again(keyed, clips):
    router, _ = keyed
    data = base64.b64encode(clips["notes.mp3"]).decode()
    with openai.OpenAI(base_url=f"{router.address}/v1", api_key=ALICE) as client:

        def ask(audio):
            part = {"type": "input_audio", "input_audio": audio}
            content = [part, {"type": "text", "text": "What key is it in?"}]
            return client.chat.completions.create(
                model="flamingo-tiny",
                messages=[{"role": "user", "content": content}],
                max_tokens=4,
                temperature=0,
            )

        first = ask({"data": data, "format": "mp3"})
        again = ask({"id": first.audio["id"]})
        assert again.choices[0].message.content == first.choices[0].message.content
        by_file = client.embeddings.create(model="flamingo-tiny", input=first.audio["id"])
        assert by_file.data[0].audio["id"] == first.audio["id"]
        with pytest.raises(openai.NotFoundError) as caught:
            ask({"id": "clip-" + "1" * 40})
        assert caught.value.code == "clip_not_held"


def test_decisions_and_responses_take_ids_too(keyed, clips):
    router, _ = keyed
    clip_id = send(router, clips["notes.flac"], pooling="mean").headers[AUDIO_ID_HEADER]
    question = {"type": "predicate", "instructions": "Is there a voice?"}
    decided = post(router, "/v1/decisions", json={"input": clip_id, "questions": [question]})
    assert decided.headers[AUDIO_ID_HEADER] == clip_id, decided.text
    part = {"type": "input_file", "file_id": clip_id}
    content = [part, {"type": "input_text", "text": "What key is it in?"}]
    body = {"input": [{"role": "user", "content": content}], "max_output_tokens": 16}
    answered = post(router, "/v1/responses", json=body)
    assert answered.headers[AUDIO_ID_HEADER] == clip_id, answered.text


def test_our_client_sends_a_clip_again_when_its_holder_was_killed(keyed, clips, tmp_path):
    router, pods = keyed
    path = tmp_path / "song.mp3"
    path.write_bytes(clips["notes.mp3"] + bytes(7))
    with FlamingoClient(router.address, api_key=ALICE) as client:
        first = client.embed(path, pooling="mean")
        holder = endpoint_of(send(router, path.read_bytes()))
        [killed] = [pod for pod in pods if pod.address == holder]
        killed.process.kill()
        killed.process.wait()
        killed.process.wait = lambda _=None: 0  # its exit status is not that of a drained pod
        with pytest.raises(errors.ClipNotHeld):
            client.embed(ClipId(first.audio.id))
        again = client.embed(path, pooling="mean")
        assert (again.embedding == first.embedding).all()
        assert client.embed(ClipId(first.audio.id), pooling="mean").audio == first.audio


def test_a_pod_that_is_told_to_hold_nothing_gives_no_ids(model_cache, clips, tmp_path):
    flags = ("--max-held-clip-bytes", "0")
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as pod:
        processes.wait_until_ready(pod)
        sent = send(pod, clips["notes.flac"], pooling="mean")
        assert AUDIO_ID_HEADER not in sent.headers
        assert "audio" not in sent.json()
