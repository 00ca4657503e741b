"""Outputs in parts: nothing is lost or written twice, wherever a run is killed."""

import contextlib

import numpy as np
import pytest
from fakes import batch_outcomes
from fakes.batch_outcomes import recorded_keys
from fakes.failing_storage import FailingStorage, Killed
from obstore.store import MemoryStore

from flamingo.batch.outputs import parts
from flamingo.batch.outputs.jsonl_parts import JsonlParts
from flamingo.batch.outputs.parquet_parts import ParquetParts
from flamingo.batch.outputs.part_names import Part
from flamingo.batch.outputs.parts import PartsOutput
from flamingo.batch.outputs.safetensors_parts import SafetensorsParts
from flamingo.batch.storage.bucket import BucketStorage
from flamingo.batch.storage.folder import FolderStorage
from flamingo.batch.storage.storage import StorageFailed
from flamingo_common.errors import BadRequest

KEYS = [f"song {number}.mp3" for number in range(7)]
FORMATS = {
    "jsonl": JsonlParts,
    "parquet": lambda: ParquetParts(["caption", "embedding"]),
    "safetensors": SafetensorsParts,
}
FIRST = Part(0, 0)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "MAX_ROWS", 3)


def outcome(key):
    return batch_outcomes.failed(key) if key == KEYS[2] else batch_outcomes.done(key, title=key)


def run(output):
    """Do what a batch does: skip what is finished, and record the others one after the other."""
    finished = recorded_keys(output)
    for key in KEYS:
        if key not in finished:
            output.append([outcome(key)])
    output.close()
    return finished


def written(storage, format_):
    """Return all keys in the parts, in order."""
    return [
        key
        for file in storage.walk()
        if file.name.endswith(format_.suffix)
        for key in [item.key for item in format_.items(storage, file.name)]
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_item_is_recorded_once_wherever_a_run_is_killed(name):
    kill_at = 0
    was_killed = True
    while was_killed:
        store = MemoryStore()
        was_killed = False
        try:
            run(PartsOutput(FailingStorage(store, kill_at), FORMATS[name](), FIRST))
        except Killed:
            was_killed = True
        storage = BucketStorage(store, "s3://out")
        run(PartsOutput(storage, FORMATS[name](), FIRST))
        assert sorted(written(storage, FORMATS[name]())) == KEYS, kill_at
        assert [*storage.walk(".flamingo")] == []
        kill_at += 1
    assert kill_at > 20


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_recorded_is_finished_in_the_next_run_even_without_closing(tmp_path, name):
    output = PartsOutput(FolderStorage(tmp_path), FORMATS[name](), FIRST)
    assert recorded_keys(output) == []
    for key in KEYS[:5]:
        output.append([outcome(key)])
    again = PartsOutput(FolderStorage(tmp_path), FORMATS[name](), FIRST)
    assert sorted(recorded_keys(again)) == KEYS[:5]


@pytest.mark.parametrize("name", FORMATS)
def test_parts_in_a_bucket_are_those_in_a_folder(tmp_path, name):
    bucket, folder = BucketStorage(MemoryStore(), "s3://out"), FolderStorage(tmp_path)
    for storage in (bucket, folder):
        run(PartsOutput(storage, FORMATS[name](), FIRST))
        assert run(PartsOutput(storage, FORMATS[name](), FIRST)) == KEYS
    names = [file.name for file in bucket.walk()]
    assert names == [file.name for file in folder.walk()]
    for file in names:
        with bucket.open(file) as one, folder.open(file) as other:
            assert one.read() == other.read()


@pytest.mark.parametrize("name", FORMATS)
def test_errors_are_forgotten_on_request_and_results_are_kept(tmp_path, name):
    storage = FolderStorage(tmp_path)
    run(PartsOutput(storage, FORMATS[name](), FIRST))
    PartsOutput(storage, FORMATS[name](), FIRST).forget_failed()
    output = PartsOutput(storage, FORMATS[name](), FIRST)
    assert sorted(recorded_keys(output)) == [key for key in KEYS if key != KEYS[2]]


def test_two_runs_that_write_to_one_shard_do_not_both_succeed(tmp_path):
    first, second = (PartsOutput(FolderStorage(tmp_path), JsonlParts(), FIRST) for _ in range(2))
    for output in (first, second):
        assert recorded_keys(output) == []
    first.append([outcome(KEYS[0])])
    with pytest.raises(StorageFailed, match="another run writes to the same output"):
        second.append([outcome(KEYS[1])])


def test_shards_write_beside_each_other(tmp_path):
    storage = FolderStorage(tmp_path)
    for shard in (0, 1):
        output = PartsOutput(storage, JsonlParts(), Part(shard, 0))
        assert recorded_keys(output) == []
        output.append([outcome(f"{shard}.mp3")])
        output.close()
    names = [file.name for file in storage.walk() if "part-" in file.name]
    assert names == ["part-00000-000000.jsonl", "part-00001-000000.jsonl"]


def test_a_part_is_written_before_it_needs_too_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MAX_BYTES", 10_000)
    monkeypatch.setattr(parts, "MAX_ROWS", 1000)
    output = PartsOutput(FolderStorage(tmp_path), JsonlParts(), FIRST)
    output.append([batch_outcomes.done("long.mp3", num_frames=1000)])
    assert written(FolderStorage(tmp_path), JsonlParts()) == ["long.mp3"]


def test_files_of_others_are_refused_or_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "part-00000-000000.jsonl").write_text("mine\n")
    output = PartsOutput(FolderStorage(tmp_path), JsonlParts(), FIRST)
    with pytest.raises(BadRequest, match="was not written by a batch; move it away"):
        recorded_keys(output)


def test_a_damaged_entry_of_the_journal_is_refused(tmp_path):
    storage = FolderStorage(tmp_path)
    storage.write(FIRST.entry(0), b"torn")
    with pytest.raises(BadRequest, match="is not an entry of a journal"):
        recorded_keys(PartsOutput(storage, JsonlParts(), FIRST))


def test_embeddings_survive_the_journal_and_are_what_numpy_reads(tmp_path):
    output = PartsOutput(FolderStorage(tmp_path), JsonlParts(), FIRST)
    output.append([batch_outcomes.done("a b/ü.mp3", num_frames=3)])
    again = PartsOutput(FolderStorage(tmp_path), JsonlParts(), FIRST)
    assert recorded_keys(again) == ["a b/ü.mp3"]
    again.close()
    [path] = tmp_path.rglob("*.npy")
    assert np.array_equal(np.load(path), batch_outcomes.embedding("a b/ü.mp3", 3))
    with contextlib.suppress(FileNotFoundError):
        assert not [*(tmp_path / ".flamingo" / "journal").rglob("0*")]


@pytest.mark.parametrize("name", FORMATS)
def test_a_name_that_is_not_utf8_is_in_a_part_and_found_again(tmp_path, name):
    key = "caf\udce9.mp3"
    for _ in range(2):
        output = PartsOutput(FolderStorage(tmp_path), FORMATS[name](), FIRST)
        if key not in recorded_keys(output):
            output.append([batch_outcomes.done(key, title=key)])
        output.close()
    assert recorded_keys(PartsOutput(FolderStorage(tmp_path), FORMATS[name](), FIRST)) == [key]
