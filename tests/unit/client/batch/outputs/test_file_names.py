import pytest
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo.batch.outputs.file_names import clip_name, file_name


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("song.flac", "song.flac.npy"),
        ("a/b/song.flac", "a/b/song.flac.npy"),
        ("songs.jsonl:17", "songs.jsonl:17.npy"),
        ("../up.flac", "%2E%2E/up.flac.npy"),
        ("/data/song.flac", "%2Fdata/song.flac.npy"),
        ("caf\udce9.flac", "caf%ED%B3%A9.flac.npy"),
        ("a\0b", "a%00b.npy"),
        ("", ".npy"),
    ],
)
def test_a_file_is_named_for_its_key(key, expected):
    assert file_name(key, ".npy") == expected


def test_a_long_name_is_shortened_and_stays_unique():
    names = {file_name("x" * 300 + end, ".npy") for end in "ab"}

    assert len(names) == 2
    assert all(len(name) < 255 for name in names)


@settings(max_examples=examples(500))
@given(st.text("ab./%\\~é\0", max_size=6), st.text("ab./%\\~é\0", max_size=6))
def test_two_keys_have_two_names_inside_the_folder(one, other):
    names = file_name(one, ""), file_name(other, "")

    assert (names[0] == names[1]) == (one == other)
    assert not names[0].startswith("/")
    assert not {"..", "."} & set(names[0].split("/"))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("é/Don't Stop [Live] - 100% & 曲?.mp3", None),
        ("caf\udce9.flac", "caf%ED%B3%A9.flac"),
        ("a\nb.flac", "a%0Ab.flac"),
        ("a\\b.flac", "a%5Cb.flac"),
        ("a%0Ab.flac", "a%250Ab.flac"),
        ("../up.flac", "%2E%2E/up.flac"),
        ("/data/song.flac", "%2Fdata/song.flac"),
    ],
)
def test_what_is_beside_a_clip_has_its_name_wherever_that_can_be_one(key, expected):
    assert clip_name(key) == (key if expected is None else expected)


def test_a_long_title_in_another_script_stays_and_leaves_room_for_a_suffix():
    assert clip_name("曲" * 76) == "曲" * 76
    assert len(clip_name("曲" * 80).encode()) <= 230


@settings(max_examples=examples(500))
@given(st.text("ab./%0A\n\\~é\0", max_size=6), st.text("ab./%0A\n\\~é\0", max_size=6))
def test_two_clips_have_two_names_inside_the_folder(one, other):
    names = clip_name(one), clip_name(other)

    assert (names[0] == names[1]) == (one == other)
    assert not names[0].startswith("/")
    assert not {"..", "."} & set(names[0].split("/"))
