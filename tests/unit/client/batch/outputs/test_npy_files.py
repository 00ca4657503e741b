import numpy as np

from flamingo.batch.outputs.npy_files import NpyFiles

MATRIX = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_a_file_is_in_the_folder_of_its_key(tmp_path):
    files = NpyFiles(tmp_path / "new")
    name = files.write("a/b/song.flac", MATRIX)
    files.sync()

    assert name == "a/b/song.flac.npy"
    assert (np.load(tmp_path / "new" / name) == MATRIX).all()


def test_a_file_that_a_kill_has_left_incomplete_is_written_again(tmp_path):
    (tmp_path / "song.npy").write_bytes(b"\x93NUMPY" + bytes(1000))
    NpyFiles(tmp_path).write("song", MATRIX)

    assert (np.load(tmp_path / "song.npy") == MATRIX).all()


def test_all_new_folders_are_synced_with_the_files(tmp_path):
    files = NpyFiles(tmp_path)
    files.write("a/b/song.flac", MATRIX)
    assert files._unsynced_folders == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}

    files.sync()
    assert files._unsynced_folders == set()
