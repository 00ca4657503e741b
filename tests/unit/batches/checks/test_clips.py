"""Where the clips of a body are, and how audio is put in their places."""

import json

import pytest

from flamingo_batches.checks import clips
from flamingo_batches.checks.clips import ClipReference, InvalidReference


def filled(body, *audio):
    """Return a body whose clips are replaced by audio."""
    template = clips.template(body)
    pieces, data = [*template.pieces], [text.encode() for text in audio]
    joined = b"".join(b"".join(pair) for pair in zip(pieces, [*data, b""], strict=True))
    return json.loads(joined), template.clips


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"audio": {"file_id": "f"}}, {"audio": {"data": "AA"}}, id="audio"),
        pytest.param({"audio": {"url": "s3://b/c"}}, {"audio": {"data": "AA"}}, id="bucket"),
        pytest.param(
            {"input": "gs://b/c"}, {"input": clips.DATA_URL + "AA"}, id="URL as the input"
        ),
        pytest.param(
            {"input": [{"type": "audio_url", "audio_url": {"url": "az://b/c"}}]},
            {"input": [{"type": "audio_url", "audio_url": {"url": clips.DATA_URL + "AA"}}]},
            id="part as the input",
        ),
        pytest.param(
            {"input": [{"content": [{"type": "input_audio", "input_audio": {"file_id": "f"}}]}]},
            {"input": [{"content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]},
            id="message as the input",
        ),
        pytest.param(
            {"messages": [{"content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]},
            id="OpenAI's part",
        ),
        pytest.param(
            {"input": [{"content": [{"type": "input_file", "file_id": "f"}]}]},
            {"input": [{"content": [{"type": "input_file", "file_data": clips.DATA_URL + "AA"}]}]},
            id="file of a response",
        ),
        pytest.param(
            {"input": [{"content": [{"type": "input_file", "file_url": "s3://b/c"}]}]},
            {"input": [{"content": [{"type": "input_file", "file_data": clips.DATA_URL + "AA"}]}]},
            id="bucket in a response",
        ),
        pytest.param(
            {"input": [{"content": [{"type": "input_audio", "input_audio": {"file_id": "f"}}]}]},
            {"input": [{"content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]},
            id="audio of a response",
        ),
    ],
)
def test_audio_takes_the_place_of_a_reference(body, expected):
    found, references = filled(body, "AA")
    assert found == expected
    assert len(references) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"audio": {"data": "AAAA"}},
        {"audio": {"url": "https://a.example/b"}},
        {"input": ["data:audio/wav;base64,AA"]},
        {"messages": [{"content": "file_id @ é"}, {"content": None}], "tools": [{"file_id": 1}]},
        {"messages": 1, "input": None, "audio": None},
        {"input": [{"content": [{"type": "input_file", "file_url": "https://a.example/b"}]}]},
        {"input": [{"content": [{"type": "input_file", "file_data": "AA", "file_id": None}]}]},
    ],
)
def test_anything_else_is_left_as_it_is(body):
    found, references = filled(json.loads(json.dumps(body)))
    assert (found, references) == (body, [])


def test_each_clip_has_its_own_place_whatever_text_is_around_it():
    parts = [{"type": "audio", "audio": {"file_id": name}} for name in ("one", "two")]
    text = {"type": "text", "text": "@@0@@ @@@"}
    body, references = filled({"messages": [{"content": [parts[0], text, parts[1]]}]}, "AA", "BB")
    content = body["messages"][0]["content"]
    assert [each.file_id for each in references] == ["one", "two"]
    assert [content[0]["audio"]["data"], content[2]["audio"]["data"]] == ["AA", "BB"]
    assert content[1] == text


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ({"file_id": "f", "data": "A"}, "audio: has both file_id and data"),
        ({"file_id": 3}, "audio.file_id: must be a string"),
    ],
)
def test_a_malformed_reference_is_refused(audio, message):
    with pytest.raises(InvalidReference, match=message):
        clips.references({"audio": audio})


def test_a_file_part_without_an_id_is_refused():
    part = {"type": "file", "file": {"file_data": "A"}}
    with pytest.raises(InvalidReference, match=r"messages\[0\].content\[0\].file: must have"):
        clips.references({"messages": [{"content": [part]}]})


def test_a_file_with_an_id_and_data_is_refused():
    part = {"type": "input_file", "file_id": "f", "file_data": "AA"}
    with pytest.raises(InvalidReference, match=r"input\[0\].content\[0\]: has both file_id"):
        clips.references({"input": [{"content": [part]}]})


def test_a_reference_says_where_it_is():
    ((_, reference),) = clips.references({"audio": {"file_id": "f"}})
    assert reference == ClipReference(file_id="f", place="audio")


HELD = "clip-" + "0" * 40


def chat(part):
    return {"messages": [{"content": [part]}]}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"audio": {"id": HELD}}, "audio.id"),
        ({"input": HELD}, "input"),
        (chat({"type": "input_audio", "input_audio": {"id": HELD}}), "input_audio.id"),
        (chat({"type": "audio_url", "audio_url": None, "uuid": HELD}), "uuid"),
        (chat({"type": "file", "file": {"file_id": HELD}}), "file.file_id"),
    ],
)
def test_the_id_of_a_clip_that_a_pod_holds_is_refused_because_a_batch_can_outlive_it(body, place):
    with pytest.raises(InvalidReference, match=f"{place}: .* not for batches"):
        clips.references(body)
