"""`docs/security.md` names tests; each of them exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+(?:\.py|…)?)`", PAGE)))
"""Files, tests, and the beginnings of tests' names, which end with an ellipsis."""


@pytest.fixture(scope="module")
def files():
    return {path: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")}


def test_the_page_names_tests():
    assert NAMED


@pytest.mark.parametrize("name", NAMED)
def test_every_named_test_exists(files, name):
    begins = re.escape(name.removesuffix("…"))
    pattern = rf"^def {begins}" if name.endswith("…") else rf"^def {begins}\("
    is_file = any(path.name == name for path in files)

    assert is_file or any(re.search(pattern, text, re.MULTILINE) for text in files.values())
