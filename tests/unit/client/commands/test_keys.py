"""`flamingo keys`."""

from typer.testing import CliRunner

from flamingo.commands import app
from flamingo_common.service import keys


def test_a_new_key_matches_its_entry():
    made = CliRunner().invoke(app.app, ["keys", "new", "007"])
    assert made.exit_code == 0
    key = made.stderr.splitlines()[-1]
    assert key not in made.stdout
    assert len(key) >= len(keys.PREFIX) + 43  # 256 bits
    ring = keys.parse(b"keys:\n" + made.stdout.encode())
    assert ring.find(key.encode()).name == "007"


def test_a_key_for_a_router_may_observe_only():
    made = CliRunner().invoke(app.app, ["keys", "new", "router", "--may", "observe"])
    ring = keys.parse(b"keys:\n" + made.stdout.encode())
    assert ring.find(made.stderr.splitlines()[-1].encode()).may == {"observe"}


def test_a_name_that_is_invalid_in_a_key_file_is_rejected():
    assert CliRunner().invoke(app.app, ["keys", "new", "a b"]).exit_code == 2
