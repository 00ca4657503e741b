"""A folder of this machine as a storage."""

import os
import stat

import pytest

from flamingo.batch.storage.folder import FolderStorage
from flamingo.batch.storage.storage import StorageFailed


def names(storage, folder=""):
    return [file.name for file in storage.walk(folder)]


def fill(folder, *files):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")


def test_all_files_are_listed_in_the_order_of_their_names_without_hidden_ones(tmp_path):
    fill(tmp_path, "b.mp3", "a/2.mp3", "a/1.mp3", "a/.cache/x.mp3", "._b.mp3", "Ü/曲.mp3")
    assert names(FolderStorage(tmp_path)) == ["a/1.mp3", "a/2.mp3", "b.mp3", "Ü/曲.mp3"]
    assert {file.size_bytes for file in FolderStorage(tmp_path).walk()} == {5}


def test_names_that_are_not_utf8_are_listed_and_opened(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp3")
    fill(tmp_path, name)
    storage = FolderStorage(tmp_path)
    assert names(storage) == [name]
    with storage.open(name) as file:
        assert file.read() == b"12345"


def test_links_that_form_a_loop_are_followed_once(tmp_path):
    fill(tmp_path, "a/1.mp3")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    other = tmp_path / "a" / "b"
    other.symlink_to(tmp_path / "a")
    assert names(FolderStorage(tmp_path)) == ["a/1.mp3", "a/self"]


def test_a_folder_elsewhere_is_listed_through_its_link(tmp_path):
    fill(tmp_path, "disk/1.mp3")
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "more").symlink_to(tmp_path / "disk")
    assert names(FolderStorage(tmp_path / "songs")) == ["more/1.mp3"]


def test_a_folder_that_is_missing_is_an_error_and_one_in_it_is_empty(tmp_path):
    assert names(FolderStorage(tmp_path), ".flamingo") == []
    with pytest.raises(StorageFailed, match=r"cannot list .*/gone: no such file or directory"):
        names(FolderStorage(tmp_path / "gone"))


def test_a_file_is_written_as_a_whole_with_usual_permissions(tmp_path):
    storage = FolderStorage(tmp_path)
    storage.write("a/b.txt", b"old")
    storage.write("a/b.txt", b"new")
    path = tmp_path / "a" / "b.txt"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0o077 & ~_umask() & 0o666
    assert [one.name for one in path.parent.iterdir()] == ["b.txt"]


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_file_is_created_once_unless_its_contents_are_the_same(tmp_path):
    storage = FolderStorage(tmp_path)
    storage.create("entry", b"mine")
    storage.create("entry", b"mine")
    with pytest.raises(StorageFailed, match="another run writes to the same output"):
        storage.create("entry", b"theirs")
    assert (tmp_path / "entry").read_bytes() == b"mine"


def test_what_cannot_be_read_or_written_is_named_with_the_reason(tmp_path):
    fill(tmp_path, "file")
    storage = FolderStorage(tmp_path)
    with pytest.raises(StorageFailed, match=r"cannot read .*/gone: no such file"):
        storage.open("gone")
    with pytest.raises(StorageFailed, match=r"cannot write .*/file/a: "):
        storage.write("file/a", b"")


def test_removing_is_idempotent_and_sizes_of_missing_files_are_none(tmp_path):
    fill(tmp_path, "a")
    storage = FolderStorage(tmp_path)
    assert storage.size_bytes("a") == 5
    storage.remove("a")
    storage.remove("a")
    assert storage.size_bytes("a") is None
