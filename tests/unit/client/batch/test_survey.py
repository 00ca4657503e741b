"""What a dry run finds out about a source."""

import wave

import pytest

from flamingo.batch import survey as surveys
from flamingo.batch.outcomes import RecordedItem
from flamingo.batch.recorder import key_table
from flamingo.batch.sources.folders import FolderSource
from flamingo.batch.sources.tables import TableOptions, TableSource
from flamingo.batch.storage.folder import FolderStorage


def write_wav(path, seconds):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * seconds))


def test_clips_of_a_folder_are_counted_and_measured_by_their_headers(tmp_path):
    for seconds in (1, 2, 3):
        write_wav(tmp_path / f"{seconds}.wav", seconds)
    (tmp_path / "empty.wav").write_bytes(b"")
    found = surveys.survey(FolderSource(FolderStorage(tmp_path), lambda _: True))
    assert (found.num_items, found.num_probed) == (4, 3)
    assert found.num_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert found.audio_s == pytest.approx(8.0), "the fourth counts as the mean of the others"


def test_lengths_that_a_table_states_are_believed_and_bad_lines_are_shown(tmp_path):
    lines = ['{"path": "gone.mp3", "duration": 100.5}', "x", '{"path": "http://h/a.mp3"}']
    (tmp_path / "l.jsonl").write_text("\n".join(lines))
    source = TableSource(FolderStorage(tmp_path), ["l.jsonl"], TableOptions())
    found = surveys.survey(source)
    assert (found.num_items, found.num_known, found.known_s) == (2, 1, 100.5)
    assert [one.key for one in found.malformed] == ["l.jsonl:2"]
    assert found.audio_s is None, "nothing is known of the other one"


def test_what_earlier_runs_have_finished_is_counted_apart(tmp_path):
    for seconds in (1, 2, 3, 4):
        write_wav(tmp_path / f"{seconds}.wav", seconds)
    items = [RecordedItem("1.wav"), RecordedItem("2.wav", "is empty"), RecordedItem("gone.wav")]
    source = FolderSource(FolderStorage(tmp_path), lambda _: True)
    found = surveys.survey(source, key_table(items))
    assert (found.num_items, found.num_done_before, found.num_failed_before) == (2, 2, 1)
    assert found.audio_s == pytest.approx(7.0), "of what is left"


def test_only_some_clips_are_probed(tmp_path, monkeypatch):
    monkeypatch.setattr(surveys, "MAX_PROBED_FILES", 2)
    for number in range(5):
        write_wav(tmp_path / f"{number}.wav", 2)
    found = surveys.survey(FolderSource(FolderStorage(tmp_path), lambda _: True))
    assert (found.num_items, found.num_probed) == (5, 2)
    assert found.audio_s == pytest.approx(10.0)
