"""Settings: flag > environment > file > default, and all errors are reported at once."""

import pytest
from fakes.example_settings import PREFIX, Settings, loader

from flamingo_common.service import settings
from flamingo_common.service.settings import ServiceSettings


@pytest.fixture
def load(tmp_path):
    return loader(tmp_path)


def test_precedence_is_flag_variable_file_default(load):
    file = "port: 1\nhost: file\nmax_items: 3\n"
    found, given = load("--port", "4", file=file, PORT="2", HOST="variable")
    assert (found.port, found.host, found.max_items, found.grace_period_s) == (4, "variable", 3, 30)
    assert given.sources["port"] == "--port"
    assert given.sources["host"] == "FLAMINGO_TEST_HOST"
    assert given.sources["max_items"].endswith("s.yaml:3")
    assert "grace_period_s" not in given.sources


def test_a_value_that_is_not_set_overrides_nothing(load):
    found, _ = load("--port", "8000", file="stop_with_parent: true\nport: 9\n", HOST="")
    assert found.stop_with_parent
    assert found.port == 8000, "a flag was set explicitly, to its default"
    assert found.host == "127.0.0.1", "an empty variable is ignored"


def test_a_variable_may_set_the_path_of_the_file(load, tmp_path):
    (tmp_path / "other.yaml").write_text("names: [a, b]\n")
    found, _ = load(CONFIG=str(tmp_path / "other.yaml"))
    assert found.names == ["a", "b"]


def test_the_environment_of_the_process_is_not_read(load, monkeypatch):
    monkeypatch.setenv(PREFIX + "PORT", "1")
    assert load()[0].port == 8000


def test_all_errors_of_all_sources_are_reported_at_once(load, capsys):
    file = "port: x\nmax_item: 3\nmax-items: 4\nhost: a\nhost: b\n"
    with pytest.raises(SystemExit) as ended:
        load("--grace-perid-s", "4", file=file, MAX_ITEMS="0", LOG_LEVL="debug")
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("test: ") for line in lines)
    for message in (
        "unrecognized arguments: --grace-perid-s 4; did you mean --grace-period-s?",
        "FLAMINGO_TEST_LOG_LEVL: unknown setting; did you mean FLAMINGO_TEST_LOG_LEVEL?",
        "s.yaml:1: port: must be a whole number from 0 to 65535",
        "s.yaml:2: max_item: unknown setting; did you mean max_items?",
        "s.yaml:3: max-items: unknown setting; did you mean max_items?",
        "s.yaml:5: duplicate setting host; first set at",
        "--max-items (FLAMINGO_TEST_MAX_ITEMS): must be a whole number of at least 1",
    ):
        assert sum(message in line for line in lines) == 1, message
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param("- port\n", "s.yaml:1: write settings as `name: value`", id="a list"),
        pytest.param("port: [\n", "s.yaml: while parsing", id="invalid YAML"),
        pytest.param("config: x\n", "s.yaml:1: config: unknown setting", id="config in a file"),
        pytest.param("!!python/object:os.system x: 1\n", "s.yaml", id="code"),
    ],
)
def test_an_invalid_file_is_reported(load, capsys, file, message):
    with pytest.raises(SystemExit):
        load(file=file)
    assert message in capsys.readouterr().err


def test_a_missing_file_is_reported(load, capsys):
    with pytest.raises(SystemExit):
        load("--config", "/no/such/file")
    assert "/no/such/file: No such file or directory" in capsys.readouterr().err


def test_an_empty_file_sets_nothing(load):
    assert load(file="# nothing\n")[0].port == 8000


def test_a_service_does_not_start_with_an_invalid_key_file(tmp_path, capsys):
    path = tmp_path / "keys"
    path.write_text('{"keys": [{"name": "", "sha256": ""}]}')
    for argv in (["--key-file", str(path)], ["--key-file", str(tmp_path / "none")]):
        with pytest.raises(SystemExit) as ended:
            settings.load(Settings, argv, {}, prog="test")
        assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "--key-file: keys[0].name: " in printed
    assert "--key-file: keys[0].sha256: " in printed
    assert "No such file" in printed


def test_a_service_listens_on_the_loopback_address_by_default():
    assert ServiceSettings.model_fields["host"].default == "127.0.0.1"
