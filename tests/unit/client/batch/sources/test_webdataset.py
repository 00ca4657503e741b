"""WebDataset: samples of tar files, read at their offsets."""

import gzip

import pytest
from fakes import song_archives

from flamingo.batch.items import Item, Malformed
from flamingo.batch.sources.webdataset import MAX_TEXT_BYTES, WebDatasetSource
from flamingo.batch.storage.folder import FolderStorage
from flamingo_common.errors import InvalidAudio, RequestTooLarge


def source(tmp_path, **tars):
    names = [f"{name}.tar" for name in tars]
    for name, content in zip(names, tars.values(), strict=True):
        (tmp_path / name).write_bytes(content)
    return WebDatasetSource(FolderStorage(tmp_path), names)


def malformed(source_):
    return {one.key: one.message for one in source_.items() if isinstance(one, Malformed)}


def test_each_sample_is_an_item_with_the_columns_of_its_json_and_texts(tmp_path):
    one = song_archives.sample("a/1", title="Ünï", year=1999)
    content = song_archives.tar(*one, ("a/1.txt", b"a quiet song\n"), ("b.mp3", b"ID3"))
    reader = source(tmp_path, shard=content)

    first, second = reader.items()

    assert (first.key, first.num_bytes) == ("a/1", len("fLaC a/1"))
    assert first.columns == {"title": "Ünï", "year": 1999, "txt": "a quiet song"}
    assert (reader.audio(first), reader.audio(second)) == (b"fLaC a/1", b"ID3")


def test_items_of_all_tar_files_are_listed_in_order_each_time(tmp_path):
    reader = source(
        tmp_path,
        b=song_archives.tar(*song_archives.sample("3")),
        a=song_archives.tar(*song_archives.sample("1"), *song_archives.sample("2")),
    )
    listed = [[item.key for item in reader.items()] for _ in range(2)]
    assert listed == [["3", "1", "2"]] * 2
    assert [reader.audio(item) for item in reader.items()] == [b"fLaC 3", b"fLaC 1", b"fLaC 2"]


def test_several_clips_of_one_key_are_items_with_their_extensions(tmp_path):
    content = song_archives.tar(("s.vocals.flac", b"v"), ("s.drums.flac", b"d"))
    reader = source(tmp_path, shard=content)
    assert {item.key: reader.audio(item) for item in reader.items()} == {
        "s.vocals.flac": b"v",
        "s.drums.flac": b"d",
    }


def test_a_name_of_a_tar_file_with_the_characters_of_a_location_is_read(tmp_path):
    (tmp_path / "50%23#1@2+3.tar").write_bytes(song_archives.tar(("x#@1+2.mp3", b"ID3")))
    reader = WebDatasetSource(FolderStorage(tmp_path), ["50%23#1@2+3.tar"])
    [item] = reader.items()
    assert reader.audio(item) == b"ID3"


def test_members_that_lead_out_of_the_folder_and_links_are_malformed(tmp_path):
    content = song_archives.tar(
        ("../evil.mp3", b"x"),
        ("/etc/passwd.mp3", b"x"),
        song_archives.link("link.mp3", "/etc/passwd"),
        ("good.mp3", b"ID3"),
    )
    reader = source(tmp_path, shard=content)
    problems = malformed(reader)
    assert "leads out of the folder" in problems["shard.tar#../evil"]
    assert "absolute" in problems["shard.tar#/etc/passwd"]
    assert "is not a file" in problems["shard.tar#link"]
    assert [one.key for one in reader.items() if isinstance(one, Item)] == ["good"]


def test_a_sample_without_a_clip_or_with_bad_json_is_malformed(tmp_path):
    content = song_archives.tar(
        ("1.json", b"{}"), ("2.mp3", b"x"), ("2.json", b"{"), ("3.mp3", b"x"), ("3.json", b"[1]")
    )
    reader = source(tmp_path, shard=content)
    problems = malformed(reader)
    assert problems["shard.tar#1"] == "no audio file has this key"
    assert "2.json is not valid JSON" in problems["shard.tar#2"]
    [last] = [one for one in reader.items() if isinstance(one, Item)]
    assert last.columns == {"json": [1]}


def test_a_huge_text_is_not_read(tmp_path):
    content = song_archives.tar(("1.mp3", b"x"), ("1.txt", bytes(MAX_TEXT_BYTES + 1)))
    assert "the limit is 1,048,576" in malformed(source(tmp_path, s=content))["s.tar#1"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the tar file is damaged: empty file"),
        (b"not a tar file" * 100, "the tar file is damaged"),
        (gzip.compress(song_archives.tar(("1.mp3", b"x"))), "compressed with gzip"),
    ],
    ids=["empty", "text", "gzip"],
)
def test_what_is_no_tar_file_is_named_with_the_reason(tmp_path, content, reason):
    assert reason in malformed(source(tmp_path, s=content))["s.tar"]


def test_a_tar_file_that_ends_early_keeps_what_is_before_the_damage(tmp_path):
    whole = song_archives.tar(("1.mp3", b"one"), ("2.mp3", bytes(4096)), ("3.mp3", b"three"))
    reader = source(tmp_path, s=whole[:3000])
    keys = [one.key for one in reader.items()]
    assert keys[0] == "1"
    assert "unexpected end of data" in malformed(reader)["s.tar"]
    for item in reader.items():
        if item.key == "2":
            with pytest.raises(InvalidAudio, match="incomplete"):
                reader.audio(item)


def test_a_clip_above_the_limit_is_refused_before_it_is_read(tmp_path):
    reader = source(tmp_path, s=song_archives.tar(("1.mp3", b"x")))
    too_large = Item("1", "s.tar#1.mp3@512+268435457")
    with pytest.raises(RequestTooLarge, match=r"s.tar#1.mp3 exceeds the limit"):
        reader.audio(too_large)
