"""`docs/router-faults.md` names tests; each of them exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "router-faults.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and " | " in line][2:]
NAMED = re.compile(r"`(test_\w+)`")


@pytest.fixture(scope="module")
def tests():
    files = (ROOT / "tests").rglob("test_*.py")
    return {
        name
        for file in files
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }


def test_every_named_test_exists(tests):
    named = set(NAMED.findall(PAGE))

    assert named
    assert named <= tests, named - tests


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith("| **")])
def test_every_defect_has_a_test(row):
    assert NAMED.search(row)
