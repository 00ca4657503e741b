"""The id of a clip in a body: found where it stands for audio, and nowhere else."""

import json

import pytest

from flamingo_router.request import audio_length

ID = "clip-" + "0a" * 20
OTHER = "clip-" + "0b" * 20
FORM = "multipart/form-data; boundary=xYz"
DATA = "UklGRg" + "A" * 40


def scanned(body, content_type="application/json", step=None):
    scan = audio_length.scan_for(content_type, len(body))
    for at in range(0, len(body), step or len(body)):
        scan.feed(body[at : at + (step or len(body))])
    return scan


def chat(*parts):
    return {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "Key?"}]}]}


def form(*parts):
    body = b"".join(
        b'--xYz\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % part
        for part in parts
    )
    return body + b"--xYz--\r\n"


FILE_ID = {"type": "input_file", "file_id": ID}
BEFORE = [{"role": "system", "content": ["a", [1, 2], {"b": [3]}]}, {"role": "user"}]
BY_ID = {
    "audio": ({"audio": {"id": ID}}, "audio"),
    "input_audio": (
        chat({"type": "input_audio", "input_audio": {"id": ID}}),
        "messages[0].content[0]",
    ),
    "file": (chat({"type": "file", "file": {"file_id": ID}}), "messages[0].content[0]"),
    "uuid": (
        chat({"type": "text"}, {"type": "audio_url", "audio_url": None, "uuid": ID}),
        "messages[0].content[1]",
    ),
    "input": ({"input": ID}, "input"),
    "input list": ({"input": [ID, OTHER]}, "input[0]"),
    "input part": ({"input": {"type": "audio", "audio": {"id": ID}}}, "input"),
    "items": (
        {"model": "a", "input": [*BEFORE, {"role": "user", "content": ["a,[", FILE_ID]}]},
        "input[2].content[1]",
    ),
}


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize(("body", "field"), BY_ID.values(), ids=BY_ID)
def test_an_id_is_found_in_every_form_that_json_has_for_it_with_its_path(body, field, step):
    scan = scanned(json.dumps(body).encode(), step=step)
    assert (scan.clip_id, scan.is_by_id, scan.field) == (ID, True, field)


IN_REQUEST = [
    (b"request", b"", json.dumps(BY_ID["items"][0]).encode()),
    (b"style", b"", b"brief"),
]


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([(b"prompt", b"", b"Key?"), (b"audio_id", b"", ID.encode())], "audio_id"),
        ([(b"request", b"", json.dumps({"audio_id": ID}).encode())], "audio_id"),
        (IN_REQUEST, "input[2].content[1]"),
    ],
)
def test_an_id_is_found_in_a_form_with_its_field(parts, field, step):
    scan = scanned(form(*parts), FORM, step=step)
    assert (scan.clip_id, scan.is_by_id, scan.field) == (ID, True, field)


def test_the_field_of_audio_is_known_too():
    part = {"type": "input_audio", "input_audio": {"data": DATA}}
    assert scanned(json.dumps(chat({}, part)).encode()).field == "messages[0].content[1]"
    url = {"audio": {"url": "https://a/b"}}
    assert scanned(json.dumps(url).encode()).field == "audio"
    file = (b"file", b'; filename="a.wav"', b"RIFF" * 10)
    assert scanned(form((b"audio_id", b"", ID.encode()), file), FORM).field == "file"


def test_a_key_that_is_no_text_breaks_no_path():
    body = b'{"\xff\xfe": {"input": "%s"}}' % ID.encode()
    assert scanned(body).field == "\ufffd\ufffd"


ELSEWHERE = {
    "prompt": {"prompt": ID, "audio": {"data": DATA}},
    "quoted": chat({"type": "text", "text": json.dumps(BY_ID["audio"][0])}),
    "assistant": {"messages": [{"role": "assistant", "audio": {"id": "audio_abc"}}]},
    "label": chat({"type": "text", "text": "Key?", "id": ID}),
    "not an id": {"audio": {"id": "song.mp3"}},
}


@pytest.mark.parametrize("body", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_is_no_clip_is_not_taken_for_one(body):
    assert scanned(json.dumps(body).encode()).is_by_id is False


def test_audio_beside_an_id_is_measured():
    part = {"type": "input_audio", "uuid": ID, "input_audio": {"data": DATA}}
    scan = scanned(json.dumps(chat(part)).encode())
    assert (scan.is_by_id, scan.sample is None) == (False, False)
    parts = [(b"audio_id", b"", ID.encode()), (b"file", b'; filename="a.wav"', b"RIFF" * 10)]
    assert scanned(form(*parts), FORM).is_by_id is False


def test_the_text_of_a_form_is_no_json():
    quoted = json.dumps({"audio": {"id": ID}}).encode()
    assert scanned(form((b"prompt", b"", quoted)), FORM).clip_id is None
