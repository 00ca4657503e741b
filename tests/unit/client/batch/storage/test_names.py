"""Names from tables and archives that lead out of their folder are refused."""

import pytest

from flamingo.batch.storage import names


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../a.mp3", "leads out"),
        ("a/../../b.mp3", "leads out"),
        ("/etc/passwd", "absolute"),
        ("C:/a.mp3", "absolute"),
        ("a\\b.mp3", "backslash"),
        ("a\0.mp3", "NUL"),
        ("", "empty"),
        (".", "empty"),
    ],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name, problem):
    assert problem in names.problem_of(name)


@pytest.mark.parametrize("name", ["a.mp3", "a/b c.mp3", "..a.mp3", "Ünï/曲.flac", "a..b"])
def test_a_name_in_the_folder_is_not(name):
    assert names.problem_of(name) is None


def test_the_key_of_a_tar_member_ends_at_the_first_dot_of_its_last_part():
    assert names.webdataset_key("a.b/song.seg.FLAC") == ("a.b/song", "seg.flac")
    assert names.webdataset_key("song") == ("song", "")


def test_the_stem_keeps_the_folder():
    assert [names.stem(one) for one in ("a.b/song.seg.flac", "song", ".hidden")] == [
        "a.b/song.seg",
        "song",
        ".hidden",
    ]
