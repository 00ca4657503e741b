"""The names of files in --out-dir."""

import pytest

from flamingo.commands import out_dir
from flamingo_common.errors import BadRequest


def test_a_file_is_named_for_its_clip():
    clips = ["a/song.mp3", "https://host/x/tune.flac?sig=1", "no suffix"]
    named = out_dir.file_names(clips, ".caption.txt")
    assert named == ["song.caption.txt", "tune.caption.txt", "no suffix.caption.txt"]


def test_clips_that_differ_in_the_suffix_keep_it():
    assert out_dir.file_names(["a.mp3", "a.wav"], ".npy") == ["a.mp3.npy", "a.wav.npy"]


def test_clips_with_one_name_are_refused_by_name():
    with pytest.raises(BadRequest, match=r"x/a\.mp3 and y/a\.mp3 would be one file"):
        out_dir.file_names(["x/a.mp3", "b.mp3", "y/a.mp3"], ".npy")
