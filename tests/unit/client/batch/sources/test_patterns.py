"""Glob patterns for folders and buckets."""

import pytest

from flamingo.batch.sources.patterns import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("*.mp3", "a.mp3", True),
        ("*.mp3", "a/b.mp3", False),
        ("**/*.mp3", "b.mp3", True),
        ("**/*.mp3", "a/b/c.mp3", True),
        ("a/**", "a/b/c", True),
        ("[a-c].x", "b.x", True),
        ("[!a-c].x", "b.x", False),
        ("[^].x", "^.x", True),
        ("[]].x", "].x", True),
        ("a.b", "axb", False),
        ("(a+)", "(a+)", True),
        ("*\n*", "a\nb", True),
    ],
)
def test_a_pattern_matches_as_in_a_shell(pattern, name, is_match):
    assert (compile_pattern(pattern).match(name) is not None) == is_match
