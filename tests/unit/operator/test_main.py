"""The operator's command."""

import pytest

from flamingo_operator import __main__ as command
from flamingo_operator.settings import Settings


def test_it_says_what_it_takes(capsys):
    with pytest.raises(SystemExit) as leaving:
        command.main(["--help"])
    assert leaving.value.code == 0
    assert "--namespaces" in capsys.readouterr().out


def test_a_flag_that_does_not_exist_is_told(capsys):
    with pytest.raises(SystemExit) as leaving:
        command.main(["--watch-everything"])
    assert leaving.value.code == 2
    assert "--watch-everything" in capsys.readouterr().err


def test_namespaces_are_separated_by_commas():
    assert Settings(namespaces="a,b").namespaces == ["a", "b"]
    assert Settings().namespaces == []
