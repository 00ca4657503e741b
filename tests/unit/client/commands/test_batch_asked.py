"""What `flamingo batch --task analyze` refuses, and a dry run of it; tests/fleet has runs."""

import pytest
from fakes.answering_pod import AnsweringPod

from flamingo_common.service.exit_status import ExitStatus

ASKED = ["--task", "analyze", "-r", "card", "-r", "lyrics", "-q", "Mood?"]


@pytest.fixture
def songs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "0.mp3").write_bytes(b"ID3, let us say")
    return tmp_path / "songs"


def test_a_dry_run_counts_the_questions_and_their_tokens(flamingo, songs):
    args = ["songs", "-o", "out.jsonl", *ASKED, "--dry-run"]
    result = flamingo("batch", *args, pod=AnsweringPod())
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("1 clip, ")
    assert "answers: 3 questions, up to 2,648 tokens for each clip" in result.stdout
    assert [*songs.parent.iterdir()] == [songs]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["-r", "lyric"],
            "the recipe 'lyric' does not exist in this fleet; did you mean 'lyrics'?",
        ),
        (["-r", "own.yaml"], "cannot read the recipe own.yaml: no such file or directory"),
        (["--questions", "songs/0.mp3"], "songs/0.mp3: must have questions by name"),
        (["-q", "a", "--style", "brief"], "questions and recipes have no --style"),
        (["-r", "card", "--label", "x"], "questions and recipes have no --label"),
        (
            ["-r", "ace-step", "-r", "lyrics", "--output-format", "sidecars"],
            "would both be the sidecar SONG.lyrics.txt",
        ),
        (["--task", "caption", "-r", "card"], "--task caption has no --recipe"),
        (["--task", "ask", "-q", "a", "-q", "b"], "--task ask has one question"),
    ],
)
def test_what_cannot_be_asked_ends_the_command_before_the_first_clip(
    flamingo, songs, args, message
):
    pod = AnsweringPod()
    given = ["songs", "-o", "out", "--task", "analyze", *args]
    result = flamingo("batch", *given, pod=pod)
    assert result.exit_code == ExitStatus.INVALID_CONFIGURATION
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert pod.received == []
    assert [*songs.parent.iterdir()] == [songs]


def test_a_fleet_that_is_away_is_no_fault_of_the_command(flamingo, songs):
    args = ["songs", "-o", "out.jsonl", *ASKED, "--url", "http://127.0.0.1:1"]
    result = flamingo("batch", *args)
    assert result.exit_code == ExitStatus.BATCH_INCOMPLETE
    assert "cannot connect" in result.stderr
    assert [*songs.parent.iterdir()] == [songs]
