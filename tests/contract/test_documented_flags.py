"""The pages for those who look for a flag name flags that exist."""

import re

import pytest
import typer
from contract.packages import ROOT

from flamingo.commands import app

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z\d-]*")
CODE = re.compile(r"`([^`]+)`")
THERE_AND_HERE = "docs/from-flamingo-inference.md"
PAGES = ("docs/hardware.md", "docs/troubleshooting.md", THERE_AND_HERE)


def flags_of(command):
    """Yield the flags of a command and of those below it."""
    for parameter in command.params:
        yield from parameter.opts
    for one in getattr(command, "commands", {}).values():
        yield from flags_of(one)


def known():
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    return {*FLAG.findall(settings), *flags_of(typer.main.get_command(app.app))}


def named(page):
    """Return the flags in the code of a page; of a table of theirs and ours, those of ours."""
    found = set()
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        text = line.split(" | ")[-1] if page == THERE_AND_HERE else line
        found |= {flag for code in CODE.findall(text) for flag in FLAG.findall(code)}
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_page_names_exists(page):
    assert named(page) > set()
    assert named(page) - known() == set()
