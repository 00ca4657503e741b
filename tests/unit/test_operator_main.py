"""The operator's command, which says what it is not."""

from flamingo_operator import __main__ as command


def test_it_says_that_there_is_no_operator_yet(capsys):
    assert command.main() == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "not part of this release" in told
