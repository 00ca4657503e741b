"""`flamingo batch` as a process: what it records, whatever ends it, and what it says at the end."""

import json
import re
import signal
import subprocess
import sys

import pytest
from fakes import batch_processes
from fakes.batch_processes import NUM_SONGS
from pyarrow import parquet

from flamingo_common.service.exit_status import ExitStatus


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    for number in range(NUM_SONGS):
        path = folder / f"disk {number % 2}" / f"{number}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"ID3, let us say")
    return folder


def keys_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.mp3"))


def json_rows(*paths):
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def parquet_rows(path):
    return parquet.read_table(path).to_pylist()


# Those in parts are killed at every step by tests/unit/client/batch/outputs/test_parts.py.
OUTPUTS = {
    "out.parquet": ([], parquet_rows),
    "dataset": (
        ["--output-format", "audiofolder"],
        lambda path: json_rows(path / "metadata.jsonl"),
    ),
    "texts": (
        ["--output-format", "sidecars"],
        lambda path: json_rows(path / "results.jsonl"),
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_batch_that_was_killed_is_continued_without_loss_or_repetition(songs, tmp_path, name):
    flags, read = OUTPUTS[name]
    args = ["songs", "-o", name, "--task", "analyze", *flags]

    killed, again, num_sent = batch_processes.killed_and_continued(
        *args, cwd=tmp_path, signals=[signal.SIGKILL]
    )

    assert killed[0] == -signal.SIGKILL
    assert again[0] == 0, again
    rows = read(tmp_path / name)
    assert sorted(row["key"] for row in rows) == keys_of(songs)
    assert {row["caption"] for row in rows} == {"a quiet song"}
    if name == "dataset":
        clips = {(tmp_path / name / row["file_name"]).read_bytes() for row in rows}
        assert clips == {b"ID3, let us say"}, "load_dataset finds each beside its metadata"
    assert num_sent <= NUM_SONGS + NUM_SONGS // 2 + 4, "what was recorded was not sent again"


def test_sigterm_lets_requests_in_flight_finish_and_says_that_the_batch_is_incomplete(
    songs, tmp_path
):
    args = ["songs", "-o", "out.jsonl"]

    stopped, again, num_sent = batch_processes.killed_and_continued(
        *args, cwd=tmp_path, signals=[signal.SIGTERM]
    )

    assert stopped[0] == ExitStatus.BATCH_INCOMPLETE
    assert "to continue: flamingo batch songs -o out.jsonl -j 4" in stopped[1]
    assert again[0] == 0
    assert num_sent == NUM_SONGS, "no clip was sent twice"
    num_done, num_before = re.match(r"(\d+) done, (\d+) done before", again[1]).groups()
    assert int(num_done) + int(num_before) == NUM_SONGS


def test_the_second_ctrl_c_ends_a_batch_at_once(songs, tmp_path):
    signals = [signal.SIGINT, signal.SIGINT]
    stopped, again, _ = batch_processes.killed_and_continued(
        "songs", "-o", "out.jsonl", cwd=tmp_path, signals=signals
    )
    assert (stopped[0], "Traceback" in stopped[2]) == (130, False)
    assert again[0] == 0
    assert sorted(row["key"] for row in json_rows(tmp_path / "out.jsonl")) == keys_of(songs)


def test_the_summary_names_what_failed_and_the_command_that_tries_it_again(songs, tmp_path):
    (songs / "empty one.mp3").write_bytes(b"")
    args = ["songs", "-o", "out file.jsonl"]

    status, out, _ = batch_processes.run(*args, cwd=tmp_path)

    assert status == ExitStatus.ITEMS_FAILED
    assert out.splitlines()[0].startswith(f"{NUM_SONGS} done, 1 failed; 5 s of audio, ")
    assert "failed: empty one.mp3: songs/empty one.mp3 is empty\n" in out
    again = re.search(r"to try the failed ones again: flamingo batch (.*)", out)[1]
    assert again == "songs -o 'out file.jsonl' --retry-failed"
    status, out, _ = batch_processes.run(*args, cwd=tmp_path)
    assert status == ExitStatus.ITEMS_FAILED, "failed clips are not forgotten"
    assert out.splitlines()[0] == f"0 done, {NUM_SONGS} done before, 1 failed before"
    assert "failed before: empty one.mp3: songs/empty one.mp3 is empty\n" in out
    assert "--retry-failed" in out.splitlines()[-1]
    (songs / "empty one.mp3").write_bytes(b"ID3")
    status, _, err = batch_processes.run(*args, "--task", "embed", cwd=tmp_path)
    assert status == ExitStatus.INVALID_CONFIGURATION
    assert "it has results of 'caption', and this run is 'embed'" in err
    status, out, _ = batch_processes.run(*args, "--retry-failed", cwd=tmp_path)
    assert (status, out.splitlines()[0][:6]) == (0, "1 done")
    rows = json_rows(tmp_path / "out file.jsonl")
    assert sorted(row["key"] for row in rows) == keys_of(songs)
    assert [row["error"] for row in rows] == [None] * (NUM_SONGS + 1)


def test_the_shards_of_an_indexed_job_are_the_whole_batch_together(songs, tmp_path):
    for index in ("0", "1"):
        environ = {"JOB_COMPLETION_INDEX": index}
        args = ["songs", "-o", "out", "--num-shards", "2", "--output-format", "parquet"]
        assert batch_processes.run(*args, cwd=tmp_path, environ=environ)[0] == 0
    rows = parquet_rows(tmp_path / "out")
    assert sorted(row["key"] for row in rows) == keys_of(songs)
    shards = {path.name.split("-")[1] for path in (tmp_path / "out").glob("part-*")}
    assert shards == {"00000", "00001"}


def test_the_base_install_says_which_extra_a_format_needs(songs, tmp_path):
    program = (
        "import sys; sys.modules.update(pyarrow=None, obstore=None, safetensors=None)\n"
        "from flamingo.commands.app import app\n"
        "for args in (['songs', '-o', 'o.parquet'], ['s3://songs/a', '-o', 'o.jsonl'],\n"
        "             ['songs', '-o', 'o', '--output-format', 'safetensors']):\n"
        "    print(app(['batch', *args], standalone_mode=False))\n"
    )
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(int(ExitStatus.MISSING_DEPENDENCY))] * 3
    needed = ["write Parquet, pyarrow", "use s3 URLs, obstore", "write safetensors, safetensors"]
    assert done.stderr.splitlines() == [
        f"flamingo: to {what} is needed; in a checkout, run: pip install '.[batch]'"
        for what in needed
    ]


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


DRY_OUTPUTS = {
    "o.jsonl": [],
    "o.parquet": [],
    "parts": ["--output-format", "parquet"],
    "texts": ["--output-format", "sidecars"],
    "dataset": ["--output-format", "audiofolder"],
}


@pytest.mark.parametrize("name", DRY_OUTPUTS)
def test_a_dry_run_counts_what_is_left_and_writes_nothing(tmp_path, name):
    songs = tmp_path / "songs"
    songs.mkdir()
    (songs / "a.mp3").write_bytes(b"ID3, let us say")
    (songs / "empty.mp3").write_bytes(b"")
    args = ["songs", "-o", name, *DRY_OUTPUTS[name]]
    assert batch_processes.run(*args, "--dry-run", cwd=tmp_path)[1].startswith("2 clips, 0.0 MB\n")
    assert [*tmp_path.iterdir()] == [songs]
    assert batch_processes.run(*args, cwd=tmp_path)[0] == ExitStatus.ITEMS_FAILED
    (songs / "new.mp3").write_bytes(b"ID3")
    before = snapshot(tmp_path)

    status, out, err = batch_processes.run(*args, "--dry-run", cwd=tmp_path)
    retried = batch_processes.run(*args, "--dry-run", "--retry-failed", cwd=tmp_path)[1]

    assert (status, err) == (0, "")
    assert out.splitlines()[:2] == [
        "1 more clip, 0.0 MB",
        "2 were processed before, and 1 of them failed (--retry-failed tries them again)",
    ]
    assert retried.splitlines()[:2] == ["2 more clips, 0.0 MB", "1 was processed before"]
    assert snapshot(tmp_path) == before
