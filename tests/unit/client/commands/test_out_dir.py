"""The names of files in --out-dir."""

import pytest

from flamingo.commands import out_dir
from flamingo_common.errors import BadRequest


def test_a_file_is_named_for_its_clip():
    names = {"a/song.mp3": "song.mp3", "https://host/x": "tune.flac", "no suffix": "no suffix"}
    assert list(out_dir.file_names(names, ".caption.txt").values()) == [
        "song.caption.txt",
        "tune.caption.txt",
        "no suffix.caption.txt",
    ]


def test_clips_that_differ_in_the_suffix_keep_it():
    names = {"x/a.mp3": "a.mp3", "a.wav": "a.wav"}
    assert out_dir.file_names(names, ".npy") == {"x/a.mp3": "a.mp3.npy", "a.wav": "a.wav.npy"}


def test_clips_with_one_name_are_refused():
    names = {"x/a.mp3": "a.mp3", "b.mp3": "b.mp3", "y/a.mp3": "a.mp3"}
    with pytest.raises(BadRequest, match=r"x/a\.mp3 and y/a\.mp3 would be one file"):
        out_dir.file_names(names, ".npy")
