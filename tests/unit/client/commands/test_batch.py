"""What `flamingo batch` refuses, and a dry run; tests/fleet has runs of it as a process."""

import pytest

from flamingo.commands.display import output
from flamingo_common import errors


@pytest.fixture
def songs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.mp3").write_bytes(b"ID3")
    return tmp_path / "songs"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["songs"], "name the output with -o"),
        (["gone", "-o", "o.jsonl"], "gone: no such file or folder"),
        (["songs", "-o", "o.jsonl", "--shard", "8/8"], "numbered from 0 to 7"),
        (["songs", "-o", "o.jsonl", "--num-shards", "8"], "JOB_COMPLETION_INDEX does not say"),
        (
            ["songs", "-o", "songs/a.mp3/o", "--output-format", "parquet"],
            "a.mp3/o: not a directory",
        ),
        (["songs", "-o", "ftp://h/o"], "ftp:// cannot be written to"),
        (["songs", "-o", "s3://b/o.parquet"], "an output in a bucket is a folder of parts"),
        (["songs", "-o", "captions.txt"], "captions.txt would be a folder: name FILE.jsonl or"),
        (["songs", "-o", "o.JSONL"], "or the folder as o.JSONL/"),
        (["songs", "-o", "o", "--label", "../x"], "the label '../x' cannot be a part of a file"),
        (["songs", "-o", "o", "--label", ""], "1 to 20 bytes"),
        (["songs", "-o", "o.parquet", "--output-format", "sidecars"], "name a folder instead"),
    ],
)
def test_what_cannot_be_run_is_refused_with_what_to_do(flamingo, songs, monkeypatch, args, message):
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    result = flamingo("batch", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not [path for path in songs.parent.iterdir() if path != songs]


def test_an_option_that_the_task_ignores_is_refused(flamingo, songs):
    result = flamingo("batch", "songs", "-o", "o.jsonl", "--task", "embed", "--style", "brief")
    assert result.exit_code == 2
    assert "--task embed has no --style" in result.stderr


def test_what_tags_has_no_budget_of_reasoning(flamingo, songs):
    flags = ("--task", "tag", "--thinking-token-budget", "8")
    result = flamingo("batch", "songs", "-o", "o.jsonl", *flags)
    assert result.exit_code == 2
    shown = " ".join(result.stderr.replace("│", " ").split())
    assert "--task tag has no --thinking-token-budget" in shown


def test_a_dry_run_counts_and_processes_nothing(flamingo, songs):
    result = flamingo("batch", "songs", "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == "1 clip, 0.0 MB"
    assert [*songs.parent.iterdir()] == [songs]


def test_a_dry_run_does_not_repair_what_a_killed_run_left(flamingo, songs):
    (songs / "b.mp3").write_bytes(b"ID3")
    left = b'{"key": "a.mp3", "error": null}\n{"key": "b.m'
    (songs.parent / "o.jsonl").write_bytes(left)
    result = flamingo("batch", "songs", "-o", "o.jsonl", "--dry-run")
    assert result.stdout.splitlines()[0] == "1 more clip, 0.0 MB"
    assert (songs.parent / "o.jsonl").read_bytes() == left


def test_a_dry_run_says_why_the_time_is_unknown(flamingo, songs):
    found = flamingo("batch", "songs", "--dry-run", "--url", "http://127.0.0.1:1")
    assert found.exit_code == 0
    assert "time: unknown; the fleet's state cannot be read: " in found.stdout


def test_a_key_that_is_missing_is_an_error_that_says_how_to_give_one(capsys):
    asked = "a valid API key is required, in the header Authorization: Bearer KEY"
    output.print_error(errors.InvalidApiKey(asked))
    assert capsys.readouterr().err == (
        "flamingo: a valid API key is required, with --api-key or FLAMINGO_API_KEY\n"
    )
