"""What `flamingo embed` prints and saves."""

import io
import json
import re

import numpy as np
import pytest
from fakes import command_line, pods

from flamingo_common.service.exit_status import ExitStatus

ROWS = [[0.0, 0.5], [1.0, -0.5]]


def test_embed_prints_a_summary_and_saves_the_array(flamingo, song, tmp_path):
    out = tmp_path / "song.npy"
    out.write_bytes(b"an older file")

    result = flamingo("embed", song, "--out", str(out))

    assert np.load(out).tolist() == [[0.0, 0.5], [1.0, -0.5]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.mp3", "song.npy"]
    lines = result.stdout.splitlines()
    assert dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines) == {
        "frames": "2",
        "dimensions": "2",
        "audio": "0.08 s",
        "first values": "0, 0.5",
        "layer": "encoder",
        "model": "fake",
        "saved to": str(out),
    }


def test_missing_directory_is_refused_before_the_request(flamingo, song):
    pod = pods.FakePod()

    result = flamingo("embed", song, "--out", "/nowhere/x.npy", pod=pod)

    assert (result.exit_code, pod.received) == (2, [])


def test_the_suffix_chooses_the_format(flamingo, song, tmp_path):
    for suffix in ("npy", "csv", "json"):
        assert flamingo("embed", song, "-o", str(tmp_path / f"x.{suffix}")).exit_code == 0

    assert np.load(tmp_path / "x.npy").tolist() == ROWS
    assert (tmp_path / "x.csv").read_text() == "start_s,0,1\n0,0.0,0.5\n0.04,1.0,-0.5\n"
    saved = json.loads((tmp_path / "x.json").read_text())
    assert (saved["embedding"], saved["file"]) == (ROWS, song)


@pytest.mark.parametrize("name", ["x.txt", "x", "x.NPZ"])
def test_a_suffix_without_a_format_is_refused_with_those_that_have_one(flamingo, song, name):
    pod = pods.FakePod()

    result = flamingo("embed", song, "-o", name, pod=pod)

    shown = " ".join(result.stderr.replace("│", "").split())
    assert (result.exit_code, pod.received) == (2, [])
    assert f"{name}: the name must end with .npy, .csv, .json" in shown


def test_standard_output_gets_the_array_alone(song):
    done = command_line.flamingo("embed", song, "-o", "-")

    assert np.load(io.BytesIO(done.out)).tolist() == ROWS
    assert (done.status, done.err) == (0, b"")


def test_json_has_the_embedding_unless_it_was_saved(flamingo, song, tmp_path):
    printed = json.loads(flamingo("embed", song, "--json").stdout)
    saved = json.loads(flamingo("embed", song, "--json", "-o", str(tmp_path / "x.npy")).stdout)

    assert (printed["embedding"], printed["frame_timestamps"]) == (ROWS, [0.0, 0.04])
    assert "embedding" not in saved
    assert saved["saved_to"] == str(tmp_path / "x.npy")


def test_several_clips_have_a_line_each(flamingo, song):
    result = flamingo("embed", song, "gone.mp3", song)

    assert result.stdout.splitlines() == [f"{song}: 2 frames of 2, 0.08 s, 0, 0.5"] * 2
    assert result.stderr == "flamingo: gone.mp3: no such file or directory\n"
    assert result.exit_code == ExitStatus.ITEMS_FAILED


def test_several_clips_are_saved_in_a_directory(flamingo, song, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        result = flamingo("embed", song, "--out-dir", str(tmp_path / "new"))

    assert np.load(tmp_path / "new" / "song.mp3.npy").tolist() == ROWS
    assert result.stderr == f"flamingo: 0 saved in {tmp_path / 'new'}; 1 were there\n"


def test_one_file_cannot_have_several_embeddings(flamingo, song):
    assert flamingo("embed", song, song, "-o", "x.npy").exit_code == 2
