"""docs/troubleshooting.md quotes messages that our programs have."""

import ast
import re

import pytest
from contract.packages import ROOT, SOURCES

PAGE = ROOT / "docs" / "troubleshooting.md"
ELLIPSIS = "…"
FIELD = re.compile(r"\{\w+\}")
QUOTED = re.compile(r"`([^`]+)`")
COMMAND = "flamingo "


def quoted():
    """Return the messages: what is in backticks in the first column of a table."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    found = [one for row in rows for one in QUOTED.findall(row.split(" | ")[0])]
    return [one for one in found if not one.startswith(COMMAND)]


def texts(source):
    """Yield every string of a program, with `…` where a value is put in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else ELLIPSIS
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield FIELD.sub(ELLIPSIS, node.value)


@pytest.fixture(scope="module")
def programs():
    return [one for path in SOURCES for one in texts(path.read_text(encoding="utf-8"))]


def is_printed(message, programs):
    pattern = re.compile(".*".join(re.escape(part) for part in message.split(ELLIPSIS)), re.DOTALL)
    return any(pattern.search(text) for text in programs)


@pytest.mark.parametrize("message", quoted())
def test_a_message_of_the_page_is_one_of_our_programs(message, programs):
    assert is_printed(message, programs)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("no pod is ready", True),
        ("the audio is longer than the maximum of … s", True),
        ("the audio is longer than the limit of … s", False),
        ("no pod wants to be ready", False),
    ],
)
def test_a_message_that_no_program_has_is_found(message, expected, programs):
    assert is_printed(message, programs) is expected
