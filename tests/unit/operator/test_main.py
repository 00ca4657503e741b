"""The operator's command."""

import pytest

from flamingo_operator import __main__ as command
from flamingo_operator.settings import Settings


def test_help_lists_the_flags(capsys):
    with pytest.raises(SystemExit) as exited:
        command.main(["--help"])
    assert exited.value.code == 0
    assert "--namespaces" in capsys.readouterr().out


def test_an_unknown_flag_is_named(capsys):
    with pytest.raises(SystemExit) as exited:
        command.main(["--watch-everything"])
    assert exited.value.code == 2
    assert "--watch-everything" in capsys.readouterr().err


def test_namespaces_are_separated_by_commas():
    assert Settings(namespaces="a, b").namespaces == ["a", "b"]
    assert Settings().namespaces == []
