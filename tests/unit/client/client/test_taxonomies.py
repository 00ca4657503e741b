"""Taxonomies: ready ones, files of users, and the tags that come of them."""

import asyncio

import pytest
from fakes import pods
from fakes.deciding_pod import DecidingPod

from flamingo import AsyncFlamingoClient, Taxonomy
from flamingo.client import taxonomies, yaml_files
from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse
from flamingo_common.wire.decisions import DecisionRequest

MOODS = {"name": "moods", "kind": "many", "question": "It is {label}.", "labels": ["sad", "happy"]}
READY = ["era", "genre", "instruments", "language", "mood", "use", "voice"]


def call(method, *args, **kwargs):
    pod = DecidingPod()

    async def scenario():
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            return await getattr(client, method)(*args, **kwargs)

    return asyncio.run(scenario()), pod.asked


def test_the_ready_ones_are_those_that_the_method_names():
    assert taxonomies.ready_names() == READY
    for name in READY:
        assert f"`{name}`" in AsyncFlamingoClient.tag.__doc__


@pytest.mark.parametrize("name", READY)
def test_a_ready_one_is_a_valid_request(name):
    taxonomy = taxonomies.load(name)
    assert taxonomy.name == name
    request = {"input": "x", "questions": taxonomy.questions()}
    assert parse.validate_request(DecisionRequest, request).questions


def test_all_ready_ones_fit_into_one_request():
    assert sum(len(taxonomies.load(name).questions()) for name in READY) <= 400


def test_each_label_of_many_is_a_statement_and_one_of_several_a_choice():
    described = [{"label": "sad", "description": "in minor"}, "happy"]
    many = Taxonomy.model_validate(MOODS | {"labels": described})
    assert [each["instructions"] for each in many.questions()] == [
        "It is sad. (in minor)",
        "It is happy.",
    ]
    one = Taxonomy.model_validate(
        MOODS | {"kind": "one", "question": "Which?", "labels": described}
    )
    assert one.questions() == [
        {
            "type": "choice",
            "name": "moods",
            "instructions": "Which?",
            "choices": [{"value": "sad", "description": "in minor"}, {"value": "happy"}],
        }
    ]


BAD = [
    ({"labels": ["sad", "sad"]}, "labels: 'sad' is there twice"),
    ({"labels": ["sad", " "]}, "labels: number 1 is blank"),
    ({"labels": []}, "labels: must have at least 1 item"),
    ({"labels": ["sad", 5]}, r"labels\[1\]: must be an object, not a number"),
    ({"kind": "several"}, "kind: must be 'one' or 'many'"),
    ({"question": "Sad?"}, "needs {label}"),
    ({"kind": "one", "labels": ["sad"]}, "2 to 255 labels"),
    ({"labls": []}, "labls: is unknown"),
    ({"name": None}, "name: must be a string"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=lambda one: str(one)[:40])
def test_a_fault_is_named_with_its_place(change, message):
    with pytest.raises(BadRequest, match=message) as caught:
        taxonomies.parse(MOODS | change, name="moods.yaml")
    assert caught.value.message.startswith("moods.yaml: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file.*ready ones are era, genre"), (b"a: [", "not YAML"), (b"- 1", "object")],
)
def test_a_file_that_is_no_taxonomy_is_refused(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadRequest, match=message):
        taxonomies.load(path)


def test_a_file_larger_than_the_limit_is_not_parsed(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"#" * (yaml_files.MAX_FILE_BYTES + 1))
    with pytest.raises(BadRequest, match="larger than"):
        taxonomies.load(path)


def test_decisions_are_sent_as_they_are_and_parsed():
    question = {"type": "predicate", "instructions": "It is live."}
    decision, asked = call("decisions", b"RIFF", [question], orders=2, truncate=True)
    assert asked == {"questions": [question], "orders": 2, "truncate": True}
    assert decision.answers[0].probability == 0
    assert decision.usage.audio_seconds == 1.5


def test_several_taxonomies_are_one_request():
    voices = Taxonomy(name="who", kind="one", question="Who?", labels=["a", "b"])
    tags, asked = call("tag", b"RIFF", Taxonomy.model_validate(MOODS), voices)
    assert len(asked["questions"]) == 3
    assert [(each.label, each.probability) for each in tags.tags["moods"]] == [
        ("sad", 0.0),
        ("happy", 0.1),
    ]
    assert [each.label for each in tags.likely("who")] == ["b"]
    assert tags.model == "fake"


def test_a_temperature_of_a_taxonomy_makes_its_tags_less_sure():
    voices = Taxonomy(name="who", kind="one", question="Who?", labels=["a", "b"])
    tags, _ = call("tag", b"RIFF", voices, "mood", temperatures={"who": 100.0, "mood": 100.0})
    assert [each.probability for each in tags.tags["who"]] == pytest.approx([0.5, 0.5], abs=0.01)
    assert tags.tags["mood"][3].probability == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_above_0_is_refused(value):
    with pytest.raises(BadRequest, match=r"temperatures\['mood'\]: must be a number above 0"):
        call("tag", b"RIFF", "mood", temperatures={"mood": value})


def test_two_taxonomies_with_one_name_are_refused():
    with pytest.raises(BadRequest, match="two taxonomies have the name 'mood'"):
        call("tag", b"RIFF", "mood", "mood")
