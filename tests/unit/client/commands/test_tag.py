"""What `flamingo tag` prints."""

import json

import pytest
from fakes.deciding_pod import DecidingPod

from flamingo_common.service.exit_status import ExitStatus

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
    (tmp_path / "c.yaml").write_text("moods: 100")
    chosen = ("--calibration", str(tmp_path / "c.yaml"))
    result = flamingo("tag", song, "-t", moods, *chosen, "--json", pod=DecidingPod())
    tags = json.loads(result.stdout)["tags"]["moods"]
    assert [each["probability"] for each in tags[1:]] == pytest.approx([0.5] * 8, abs=0.02)


def test_a_taxonomy_that_is_none_is_refused_before_the_request(flamingo, song):
    pod = DecidingPod()
    result = flamingo("tag", song, "-t", "nothing", pod=pod)
    assert (result.exit_code, pod.received) == (1, [])
