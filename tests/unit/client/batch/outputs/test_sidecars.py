"""Text files beside the clips."""

import json

from fakes import batch_outcomes
from fakes.batch_outcomes import recorded_keys

from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo.batch.outputs.sidecars import Sidecars
from flamingo.batch.storage.folder import FolderStorage


def opened(tmp_path, notices=None, label="lyrics"):
    output = JsonlOutput(tmp_path / "results.jsonl")
    notify = (notices if notices is not None else []).append
    return Sidecars(output, FolderStorage(tmp_path), label=label, notify=notify)


def files(tmp_path):
    return {
        str(path.relative_to(tmp_path)): path.read_text()
        for path in sorted(tmp_path.rglob("*"))
        if path.is_file() and path.name != "results.jsonl"
    }


def test_a_caption_and_lyrics_are_beside_the_clip_under_its_name(tmp_path):
    output = opened(tmp_path)
    output.append([batch_outcomes.captioned("a/song.one.mp3"), batch_outcomes.failed("bad.mp3")])
    output.append([batch_outcomes.answered("b.flac", "la la\nla")])
    output.close()
    assert files(tmp_path) == {
        "a/song.one.caption.txt": "caption of a/song.one.mp3\n",
        "b.lyrics.txt": "la la\nla\n",
    }
    output = opened(tmp_path)
    assert recorded_keys(output) == ["a/song.one.mp3", "bad.mp3", "b.flac"]
    output.close()


def test_an_answer_that_is_a_json_object_becomes_the_file_that_ace_step_reads(tmp_path):
    fields = {"bpm": 120, "keyscale": "D major", "timesignature": "4", "language": "en"}
    output = opened(tmp_path)
    output.append([batch_outcomes.answered("a.mp3", json.dumps(fields))])
    output.close()
    assert json.loads(files(tmp_path)["a.json"]) == fields


def test_two_clips_with_one_name_have_sidecars_of_their_own(tmp_path):
    notices = []
    output = opened(tmp_path, notices)
    output.append([batch_outcomes.captioned("s.mp3")])
    output.close()
    output = opened(tmp_path, notices)
    assert recorded_keys(output) == ["s.mp3"]
    output.append([batch_outcomes.captioned("s.flac")])
    output.close()
    assert files(tmp_path) == {
        "s.caption.txt": "caption of s.mp3\n",
        "s.flac.caption.txt": "caption of s.flac\n",
    }
    assert notices == ["another clip has the name of s.flac; its sidecars are s.flac.…"]


def test_keys_cannot_lead_out_of_the_folder(tmp_path):
    output = opened(tmp_path / "in")
    for key in ("../evil.mp3", "/etc/x.mp3", "http://h/a.mp3", "n\0ul.mp3"):
        output.append([batch_outcomes.captioned(key)])
    output.close()
    assert len(files(tmp_path / "in")) == 4
    assert len(files(tmp_path)) == 4


def test_sidecars_have_the_very_name_of_their_clip(tmp_path):
    output = opened(tmp_path)
    output.append([batch_outcomes.captioned("é/Don't Stop [Live] - 曲.mp3")])
    output.close()
    assert [*files(tmp_path)] == ["é/Don't Stop [Live] - 曲.caption.txt"]


def test_only_the_suffix_of_a_clip_is_left_out_and_not_the_end_of_another_name(tmp_path):
    output = opened(tmp_path)
    output.append([batch_outcomes.captioned(key) for key in ("l.csv:2", "l.csv:3", "Op. 9")])
    output.close()
    assert [*files(tmp_path)] == [
        *("Op. 9.caption.txt", "l.csv:2.caption.txt", "l.csv:3.caption.txt")
    ]
