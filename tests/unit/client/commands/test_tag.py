"""What `flamingo tag` prints."""

import json

import pytest
from fakes.deciding_pod import DecidingPod

from flamingo_common.service.exit_status import ExitStatus

CALIBRATION = """
version: 1
model: fake
commit: null
orders: 1
num_examples: 200
num_clips: 50
temperature: 1.5
temperatures: {moods: 100.0}
"""
MOODS = "name: moods\nkind: many\nquestion: It is {label}.\nlabels: [a, b, c, d, e, f, g, h, i]\n"


@pytest.fixture
def moods(tmp_path):
    path = tmp_path / "moods.yaml"
    path.write_text(MOODS)
    return str(path)


def test_the_likely_tags_are_a_table_with_bars(flamingo, song, moods):
    result = flamingo("tag", song, "-t", moods, pod=DecidingPod())

    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [row[-3:] for row in rows] == [
        ["i", "█" * 16, "0.800"],
        ["h", "█" * 14, "0.700"],
        ["g", "█" * 12, "0.600"],
        ["f", "█" * 10, "0.500"],
    ]
    assert rows[0][0] == "moods"


def test_a_few_are_shown_however_improbable(flamingo, song, moods):
    result = flamingo("tag", song, "-t", moods, "--at-least", "0.9", pod=DecidingPod())
    assert len(result.stdout.splitlines()) == 4


def test_json_has_all_tags_of_each_clip(flamingo, song, moods):
    result = flamingo("tag", song, "-t", moods, "-t", "voice", "--json", pod=DecidingPod())

    document = json.loads(result.stdout)
    assert (document["file"], document["model"]) == (song, "fake")
    assert [each["label"] for each in document["tags"]["moods"]] == list("abcdefghi")
    assert sum(each["probability"] for each in document["tags"]["voice"]) == pytest.approx(1)
    assert document["usage"]["audio_seconds"] == 1.5


def test_the_genre_is_asked_by_default_in_the_given_orders(flamingo, song):
    pod = DecidingPod()
    assert flamingo("tag", song, "--orders", "4", pod=pod).exit_code == 0
    assert (pod.asked["orders"], pod.asked["questions"][0]["name"]) == (4, "genre")


def test_other_clips_are_tagged_when_one_fails(flamingo, song, moods):
    result = flamingo("tag", "/nowhere.mp3", song, "-t", moods, pod=DecidingPod())

    assert result.exit_code == ExitStatus.ITEMS_FAILED
    assert "/nowhere.mp3" in result.stderr
    assert "0.800" in result.stdout


def test_a_calibration_file_changes_the_probabilities(flamingo, song, moods, tmp_path):
    (tmp_path / "c.yaml").write_text(CALIBRATION)
    chosen = ("--calibration", str(tmp_path / "c.yaml"))
    result = flamingo("tag", song, "-t", moods, *chosen, "--json", pod=DecidingPod())
    tags = json.loads(result.stdout)["tags"]["moods"]
    assert [each["probability"] for each in tags[1:]] == pytest.approx([0.5] * 8, abs=0.02)


def test_a_calibration_of_another_model_is_refused_before_the_first_clip(
    flamingo, song, moods, tmp_path
):
    (tmp_path / "c.yaml").write_text(CALIBRATION.replace("fake", "other"))
    pod = DecidingPod()
    result = flamingo("tag", song, "--calibration", str(tmp_path / "c.yaml"), pod=pod)
    assert "is for the model other, and fake is served" in str(result.exception)
    assert (result.exit_code, pod.received) == (1, [])


def test_several_clips_are_tagged_at_once_and_printed_in_their_order(flamingo, tmp_path, moods):
    songs = [str(tmp_path / f"{number}.mp3") for number in range(5)]
    for path in songs:
        (tmp_path / path).write_bytes(b"ID3, let us say")
    result = flamingo("tag", *songs, "-t", moods, "--json", "-j", "3", pod=DecidingPod())
    assert result.exit_code == 0
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == songs


def test_a_folder_gets_a_file_for_each_clip_and_only_those_that_are_missing(
    flamingo, song, tmp_path, moods, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.mp3").write_bytes(b"ID3")
    args = ("tag", song, str(tmp_path / "b.mp3"), "-t", moods, "--out-dir", str(tmp_path / "out"))
    assert flamingo(*args, pod=DecidingPod()).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "b.mp3.tags.json",
        "song.mp3.tags.json",
    ]
    saved = json.loads((tmp_path / "out" / "song.mp3.tags.json").read_text())
    assert (saved["file"], saved["tags"]["moods"][8]["label"]) == (song, "i")
    (tmp_path / "out" / "b.mp3.tags.json").unlink()
    pod = DecidingPod()
    assert "1 saved" in flamingo(*args, pod=pod).stderr
    assert len(pod.received) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--taxonomy", "nothing"), "cannot read the taxonomy nothing"),
        (("--calibration", "gone.yaml"), "cannot read the calibration gone.yaml"),
        (("--style", "brief"), "--task tag has no --style"),
        (("-q", "a"), "--task tag has no --question"),
    ],
)
def test_a_batch_of_tags_that_cannot_be_asked_is_refused(flamingo, song, tmp_path, args, message):
    pod = DecidingPod()
    result = flamingo("batch", song, "-o", str(tmp_path / "o"), "--task", "tag", *args, pod=pod)
    assert (result.exit_code, pod.received) == (2, [])
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_taxonomy_that_is_none_is_refused_before_the_request(flamingo, song):
    pod = DecidingPod()
    result = flamingo("tag", song, "-t", "nothing", pod=pod)
    assert (result.exit_code, pod.received) == (1, [])
