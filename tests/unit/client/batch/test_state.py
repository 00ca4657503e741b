import pytest

from flamingo.batch.identity import Identity
from flamingo.batch.state import StateFile
from flamingo_common.errors import BadRequest

IDENTITY = Identity("caption", {"prompt": "a" * 100}, "paths")


def test_what_is_written_is_read_by_the_next_run(tmp_path):
    first = StateFile(tmp_path / "new" / "state")
    assert first.read() is None
    first.write(IDENTITY)
    first.write(Identity("caption", {}, "paths"))
    first.close()

    second = StateFile(tmp_path / "new" / "state")
    assert second.read() == Identity("caption", {}, "paths").as_json()
    second.close()


def test_a_second_run_at_once_is_refused(tmp_path):
    first = StateFile(tmp_path / "state")

    with pytest.raises(BadRequest, match="another run holds the lock"):
        StateFile(tmp_path / "state")
    first.close()
    StateFile(tmp_path / "state").close()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match=r"cannot write the state file .*: file exists"):
        StateFile(tmp_path / "file" / "state")


def test_a_torn_state_file_counts_as_new(tmp_path):
    (tmp_path / "state").write_bytes(b'{"version": 1, "ta')
    state = StateFile(tmp_path / "state")

    assert state.read() is None
    state.close()
