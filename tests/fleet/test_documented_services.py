"""What the pages say of starting services on one machine, done as they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import terminal
from documents.pages import ROOT
from documents.selections import KEYED_ROUTER, MAKE_UP, ROUTER
from documents.walks import follow
from fakes.wanted import absent


@pytest.fixture
def shell(tmp_path):
    """Yield a terminal in an empty folder; services take any free port."""
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "FLAMINGO_ROUTER_PORT": "0",
    }
    with terminal.opened(tmp_path, environ) as opened:
        yield opened


@pytest.mark.parametrize("selection", [ROUTER, KEYED_ROUTER], ids=["without-keys", "with-keys"])
def test_a_router_starts_as_the_page_says(shell, selection):
    follow(selection.commands(), shell)
    assert [one.poll() for one in shell.background] == [None], "it goes on"


def test_make_up_starts_a_fleet_and_prints_a_command_that_captions_a_clip(shell, model_cache):
    if subprocess.run(["make", "--question", ".venv/.installed"], cwd=ROOT, check=False).returncode:
        absent("the virtual environment of the checkout", "`make up` creates it")
    (command,) = MAKE_UP.commands()
    log = shell.start(command.text, folder=ROOT)
    terminal.until(lambda: [] if "ctrl-C" in log.read_text() else [log.read_text()])
    (caption,) = re.findall(r"caption +(curl .*)", log.read_text())
    status, printed = shell.run(caption)
    assert status == 0
    assert json.loads(printed)["model"] == "flamingo-tiny"
