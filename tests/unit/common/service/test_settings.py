"""Settings: flag > environment > file > default, and every fault told at once."""

import json
import subprocess
import sys

import jsonschema_rs
import pytest
import yaml
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from flamingo_common.service import config_command, settings
from flamingo_common.service.settings import ServiceSettings

PREFIX = "FLAMINGO_TEST_"


class Settings(ServiceSettings):
    """A service of these tests."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    max_held: int = Field(default=256, ge=1)
    """How many."""
    names: list[str] = Field(default=[])
    """Several."""
    hub_token: str | None = None
    """Secret."""


@pytest.fixture
def load(tmp_path):
    def load(*argv, file=None, **variables):
        if file is not None:
            (tmp_path / "s.yaml").write_text(file)
            argv = ("--config", str(tmp_path / "s.yaml"), *argv)
        environ = {PREFIX + name: value for name, value in variables.items()}
        return settings.resolve(Settings, argv, environ, prog="test")

    return load


def test_a_flag_wins_over_a_variable_over_a_file_over_the_default(load):
    file = "port: 1\nhost: file\nmax_held: 3\n"
    found, given = load("--port", "4", file=file, PORT="2", HOST="variable")
    assert (found.port, found.host, found.max_held, found.grace_period_s) == (4, "variable", 3, 30)
    assert given.origins["port"] == "--port"
    assert given.origins["host"] == "FLAMINGO_TEST_HOST"
    assert given.origins["max_held"].endswith("s.yaml:3")
    assert "grace_period_s" not in given.origins


def test_what_was_not_given_overrides_nothing(load):
    found, _ = load("--port", "8000", file="stop_with_parent: true\nport: 9\n", HOST="")
    assert found.stop_with_parent
    assert found.port == 8000, "a flag at its default was given all the same"
    assert found.host == "127.0.0.1", "an empty variable is none"


def test_the_file_may_be_named_by_a_variable(load, tmp_path):
    (tmp_path / "other.yaml").write_text("names: [a, b]\n")
    found, _ = load(CONFIG=str(tmp_path / "other.yaml"))
    assert found.names == ["a", "b"]


def test_the_environment_of_the_process_is_not_read(load, monkeypatch):
    monkeypatch.setenv(PREFIX + "PORT", "1")
    assert load()[0].port == 8000


def test_all_faults_of_all_places_are_told_at_once(load, capsys):
    file = "port: x\nmax_hold: 3\nmax-held: 4\nhost: a\nhost: b\n"
    with pytest.raises(SystemExit) as ended:
        load("--grace-perid-s", "4", file=file, MAX_HELD="0", LOG_LEVL="debug")
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert all(line.startswith("test: ") for line in told)
    for words in (
        "unrecognized arguments: --grace-perid-s 4; did you mean --grace-period-s?",
        "FLAMINGO_TEST_LOG_LEVL: no such setting; did you mean FLAMINGO_TEST_LOG_LEVEL?",
        "s.yaml:1: port: Input should be a valid integer",
        "s.yaml:2: max_hold: no such setting; did you mean max_held?",
        "s.yaml:3: max-held: no such setting; did you mean max_held?",
        "s.yaml:5: host is there twice; first at",
        "--max-held (FLAMINGO_TEST_MAX_HELD): Input should be greater than or equal to 1",
    ):
        assert sum(words in line for line in told) == 1, words
    assert len(told) == 7


@pytest.mark.parametrize(
    ("file", "says"),
    [
        pytest.param("- port\n", "s.yaml:1: give settings as `name: value`", id="a list"),
        pytest.param("port: [\n", "s.yaml: while parsing", id="no YAML"),
        pytest.param("config: x\n", "s.yaml:1: config: no such setting", id="another file"),
        pytest.param("!!python/object:os.system x: 1\n", "s.yaml", id="code"),
    ],
)
def test_a_file_that_holds_no_settings_is_told(load, capsys, file, says):
    with pytest.raises(SystemExit):
        load(file=file)
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(load, capsys):
    with pytest.raises(SystemExit):
        load("--config", "/no/such/file")
    assert "/no/such/file: No such file or directory" in capsys.readouterr().err


def test_an_empty_file_gives_nothing(load):
    assert load(file="# nothing\n")[0].port == 8000


def test_what_is_shown_is_a_file_that_gives_the_same(load):
    found, given = load("--port", "4", file="names: [a, 'b: c']\n")
    text = config_command.shown(found, given, prog="test")
    assert load(file=text)[0].model_dump() | {"config": None} == found.model_dump() | {
        "config": None
    }
    assert [line.split("#")[1].strip() for line in text.splitlines() if "port:" in line] == [
        "--port"
    ]


def test_secrets_are_not_shown(load):
    found, given = load(HUB_TOKEN="hf_abc")
    text = config_command.shown(found, given, prog="test")
    assert "hf_abc" not in text
    assert "hub_token: '***'" in text


def test_the_schema_takes_what_the_settings_take():
    validator = jsonschema_rs.validator_for(config_command.schema(Settings))
    assert validator.is_valid(yaml.safe_load("port: 1\nnames: [a]\n"))
    assert not validator.is_valid({"prot": 1})
    assert not validator.is_valid({"max_held": 0})


@pytest.mark.parametrize("service", ["pod", "router"])
def test_the_command_asks_the_service(service):
    command = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()", "config"]
    told = subprocess.run([*command, "schema", service], capture_output=True, check=True)
    assert json.loads(told.stdout)["additionalProperties"] is False
