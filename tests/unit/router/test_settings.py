"""The router's settings: where endpoints are given, and what is refused."""

import os

import pytest

from flamingo_common.service import config_command
from flamingo_common.service.settings import load
from flamingo_router.settings import Settings


@pytest.fixture
def environ(monkeypatch):
    for name in [name for name in os.environ if name.startswith("FLAMINGO_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def loaded(*argv):
    return load(Settings, argv, os.environ, prog="router")


def test_the_endpoint_flag_is_repeated(environ):
    settings = loaded("--endpoint", "http://a:1", "--endpoint", "http://b:2/")
    assert settings.endpoint == ["http://a:1", "http://b:2"]


def test_the_endpoint_variable_is_a_list_with_commas(environ):
    environ.setenv("FLAMINGO_ROUTER_ENDPOINT", "http://a:1, http://b:2,")
    assert loaded().endpoint == ["http://a:1", "http://b:2"]


def test_a_flag_overrides_its_variable(environ):
    environ.setenv("FLAMINGO_ROUTER_ENDPOINT", "http://a:1")
    assert loaded("--endpoint", "http://b:2").endpoint == ["http://b:2"]


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        pytest.param([], "no pods configured", id="none"),
        pytest.param(["--endpoint", ","], "no pods configured", id="none in the list"),
        pytest.param(["--endpoint", "a:1"], "'a:1' is not a valid address", id="no scheme"),
        pytest.param(["--endpoint", "http://"], "is not a valid address", id="no host"),
        pytest.param(["--endpoint", "http://a/v1"], "is not a valid address", id="a path"),
        pytest.param(["--endpoint", "http://u:p@a"], "is not a valid address", id="a password"),
        pytest.param(["--endpoint", "http://a:99999"], "out of range", id="no such port"),
        pytest.param(["--endpoint", "http://a,http://a/"], "duplicate endpoint", id="twice"),
    ],
)
def test_an_invalid_endpoint_is_refused(environ, capsys, argv, fault):
    with pytest.raises(SystemExit) as stopped:
        loaded(*argv)

    assert stopped.value.code == 2
    assert fault in capsys.readouterr().err


def test_the_settings_can_be_shown_without_pods(environ, capsys):
    assert config_command.main(Settings, ["show"], {}, prog="flamingo router") == 0
    assert "endpoint: []" in capsys.readouterr().out
