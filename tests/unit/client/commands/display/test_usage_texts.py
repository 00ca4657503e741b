"""Usage errors name what is allowed, without the words of a library."""

import pytest


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--style", "breif"], "'technical'. Did you mean 'brief'?"),
        (["--style", "unlike"], "'unlike' is not one of 'detailed', 'brief', 'technical'."),
        (["-j", "x"], "must be a whole number"),
        (["--max-tokens", "0"], "must be at least 1"),
        (["--temperature", "hot"], "must be a number"),
        (["--temperature", "9"], "must be at most 2"),
    ],
)
def test_an_invalid_value_is_explained(flamingo, song, flags, words):
    result = flamingo("caption", song, *flags)

    shown = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert words in shown
    for private in ("Value error", "Input should", "unable to parse"):
        assert private not in shown


@pytest.mark.parametrize(
    ("words", "meant"), [(["captoin"], "caption"), (["caption", "--stlye", "brief"], "--style")]
)
def test_a_misspelt_command_or_option_is_corrected(flamingo, words, meant):
    result = flamingo(*words)

    assert result.exit_code == 2
    assert meant in result.stderr.partition("Error")[2]
