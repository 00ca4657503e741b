"""A file that is reloaded when it changes."""

import structlog
from fakes.key_files import FILE, entry, swap

from flamingo_common.service import keys
from flamingo_common.service.reloading_file import ReloadingFile


def test_a_swapped_secret_is_reloaded_and_an_invalid_one_logged_once(tmp_path):
    live = ReloadingFile(swap(tmp_path, FILE), keys.parse)
    with structlog.testing.capture_logs() as logged:
        swap(tmp_path, {"keys": [entry("carol", "fk-c")]})
        live.refresh()
        assert set(live.value.names) == {"carol"}
        swap(tmp_path, "keys: [")
        live.refresh()
        live.refresh()
        assert set(live.value.names) == {"carol"}
        (tmp_path / "..data").unlink()
        live.refresh()
        live.refresh()
        assert set(live.value.names) == {"carol"}
        swap(tmp_path, FILE)
        live.refresh()
    assert set(live.value.names) == {"alice", "bob", "eye"}
    levels = [line["log_level"] for line in logged]
    assert levels == ["info", "error", "error", "info"]
