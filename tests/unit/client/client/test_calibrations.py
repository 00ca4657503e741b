"""Calibration files, and what refuses one."""

import asyncio

import pytest
import yaml
from fakes import pods
from fakes.deciding_pod import DecidingPod

from flamingo import AsyncFlamingoClient, Calibration, Taxonomy
from flamingo.client import calibrations
from flamingo_common.errors import BadRequest

FIELDS = {
    "version": 1,
    "model": "fake",
    "commit": None,
    "orders": 2,
    "num_examples": 200,
    "num_clips": 50,
    "temperature": 2.0,
    "temperatures": {"mood": 4.0},
}
VOICES = Taxonomy.model_validate(
    {"name": "who", "kind": "one", "question": "Who?", "labels": ["a", "b"]}
)


def call(method, *args, pod=None, **options):
    pod = pod or DecidingPod()

    async def scenario():
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            if method == "tag":
                return await client.tag(*args, **options)
            return dict([pair async for pair in getattr(client, method)(*args, **options)])

    return asyncio.run(scenario()), pod


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump({**FIELDS, **changes}))
        return path

    return write


def test_what_is_written_is_read(tmp_path):
    fields = {"after": {"negative_log_likelihood": 1e-07}, "temperatures": {"mood": 4, "\x7f😀": 1}}
    calibration = Calibration.model_validate({**FIELDS, **fields})
    path = tmp_path / "c.json"
    path.write_text(calibrations.to_json(calibration), encoding="utf-8")
    assert calibrations.load(path) == calibration
    assert (calibration.of("mood"), calibration.of("genre")) == (4.0, 2.0)


def test_tags_have_its_temperatures_and_its_orders(write):
    tags, pod = call("tag", b"RIFF", VOICES, calibration=write())
    assert pod.asked["orders"] == 2
    low, high = (1 / 3) ** 0.5, (2 / 3) ** 0.5
    found = [tag.probability for tag in tags.tags["who"]]
    assert found == pytest.approx([low / (low + high), high / (low + high)])


def test_a_batch_has_them_too(write, tmp_path):
    song = tmp_path / "a.mp3"
    song.write_bytes(b"ID3")
    found, pod = call("batch_tag", [str(song)], VOICES, calibration=str(write(temperature=1.0)))
    (tags,) = found.values()
    assert [tag.probability for tag in tags.tags["who"]] == pytest.approx([1 / 3, 2 / 3])
    assert pod.asked["orders"] == 2


def test_a_batch_with_one_of_another_model_ends_before_the_first_clip(write, tmp_path):
    song, pod = tmp_path / "a.mp3", DecidingPod()
    song.write_bytes(b"ID3")
    with pytest.raises(BadRequest, match=r"is for the model fake \(a1b2\), and fake is served"):
        call("batch_tag", [str(song)], VOICES, calibration=str(write(commit="a1b2")), pod=pod)
    assert pod.received == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0}, "temperature: must be a number .*above 0"),
        ({"temperature": -1.0}, "temperature: must be a number"),
        ({"temperature": 101}, "temperature: must be a number"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "hot"}, "temperature: must be a number"),
        ({"temperatures": {"mood": 0}}, "temperatures.mood: must be a number"),
        ({"temperatures": ["mood"]}, "temperatures"),
        ({"version": 2}, "version"),
        ({"model": ""}, "model"),
        ({"orders": 17}, "orders"),
        ({"num_examples": 0}, "num_examples"),
        ({"genre": 1.4}, "genre: is unknown"),
    ],
)
def test_a_file_with_a_fault_is_refused_with_its_place(write, changes, message):
    with pytest.raises(BadRequest, match=f"c.yaml is not a calibration: .*{message}"):
        calibrations.load(write(**changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("genre: 1.4", "version: is required; model: is required"),
        ("- 1", "must be a calibration, as flamingo bench quiz --calibration writes it"),
        ("", "must be a calibration"),
        ("[", "is not YAML"),
        (None, "cannot read the calibration .*c.yaml: no such file or directory"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path, content, message):
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadRequest, match=message):
        calibrations.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "other"}, "is for the model other, and fake is served"),
        ({"commit": "a1b2"}, r"is for the model fake \(a1b2\), and fake is served"),
    ],
)
def test_one_of_another_model_or_checkpoint_is_refused_before_the_clip_is_sent(
    write, changes, message
):
    pod = DecidingPod()
    with pytest.raises(BadRequest, match=message):
        call("tag", b"RIFF", VOICES, calibration=write(**changes), pod=pod)
    assert pod.received == []


def test_other_orders_or_temperatures_beside_it_are_refused(write):
    with pytest.raises(BadRequest, match="the calibration was fitted with 2, not 3"):
        call("tag", b"RIFF", VOICES, calibration=write(), orders=3)
    with pytest.raises(BadRequest, match="temperatures: the calibration has them already"):
        call("tag", b"RIFF", VOICES, calibration=write(), temperatures={"mood": 1.0})
