"""The names of files in --out-dir, which keep the folders of their clips."""

import pytest

from flamingo.commands.files import out_dir
from flamingo_common.errors import BadRequest


def named(*clips, suffix=".npy"):
    return [*out_dir.file_names(clips, suffix, "/music/mine").values()]


def test_a_file_is_named_for_its_clip_in_the_folder_that_the_clip_is_in():
    clips = ["song.mp3", "a/song.mp3", "./b//song.flac", "a/../c.wav", "Op. 9", "no suffix"]
    assert named(*clips, suffix=".caption.txt") == [
        "song.mp3.caption.txt",
        "a/song.mp3.caption.txt",
        "b/song.flac.caption.txt",
        "c.wav.caption.txt",
        "Op. 9.caption.txt",
        "no suffix.caption.txt",
    ]


def test_an_absolute_path_is_the_same_clip_as_a_relative_one():
    assert named("/music/mine/a/x.mp3") == named("a/x.mp3") == ["a/x.mp3.npy"]
    assert named("../yours/x.mp3") == named("/music/yours/x.mp3") == ["music/yours/x.mp3.npy"]


def test_a_url_is_named_for_its_host_and_path():
    clips = ["https://h.example/a/x.mp3?sig=1", "https://h.example/b/x%20y.mp3", "http://h.example"]
    assert named(*clips) == [
        "h.example/a/x.mp3.npy",
        "h.example/b/x y.mp3.npy",
        "h.example/audio.npy",
    ]


def test_no_clip_leads_out_of_the_folder():
    for clip in ("../../../etc/x.mp3", "https://h/../../x.mp3", "https://h/%2e%2e/%2e%2e/x.mp3"):
        (name,) = named(clip)
        assert not name.startswith("/")
        assert ".." not in name.split("/")


def test_clips_that_differ_in_the_suffix_are_two_files_also_of_two_commands():
    assert named("x/a.mp3", "x/a.wav") == [*named("x/a.mp3"), *named("x/a.wav")]
    assert len({*named("x/a.mp3", "x/a.wav", "x/a")}) == 3


@pytest.mark.parametrize(
    "clips",
    [
        ("a.mp3", "./a.mp3"),
        ("https://h/a.mp3?v=1", "https://h/a.mp3?v=2"),
        ("/b.mp3", "../../b.mp3"),
    ],
)
def test_clips_that_would_be_one_file_are_refused_with_both_names(clips):
    with pytest.raises(BadRequest) as refused:
        named(*clips)
    assert f"{clips[0]} and {clips[1]} would be one file in --out-dir" in refused.value.message
