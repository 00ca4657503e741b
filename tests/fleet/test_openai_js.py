"""The official `openai` package for JavaScript, as in `openai_js`, before real routers.

Who has no Node.js gets the reason printed and the test skipped; `FLAMINGO_REQUIRE_ALL=1`
turns that into a failure.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.pods import FakePod

from flamingo_common import errors

FOLDER = Path(__file__).parent / "openai_js"
NODE_MAJOR = 20
RETRY_AFTER_MS = 150
INSTALL = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]


def give_up(why):
    if os.environ.get("FLAMINGO_REQUIRE_ALL") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, needs):
    """The script beside the client that its lock file names."""
    needs("npm", install="Debian: apt install nodejs npm")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(told.removeprefix("v").partition(".")[0]) < NODE_MAJOR:
        give_up(f"node is {told.strip()}; the client needs {NODE_MAJOR}")
    copy = shutil.copytree(FOLDER, tmp_path_factory.mktemp("js") / "openai_js")
    done = subprocess.run(
        INSTALL, cwd=copy, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        give_up(f"npm could not install the client: {done.stderr}")
    return copy


def test_the_client_for_javascript_does_all_it_can(folder, fleet, before, clips, no_spaces):
    router, _ = fleet
    (folder / "song.mp3").write_bytes(clips["notes.mp3"])
    overloaded = errors.Overloaded("busy", retry_after_s=RETRY_AFTER_MS / 1000)
    busy = FakePod(fails_with=overloaded, num_failures=2)
    where = {
        "FLEET": f"{router.address}/v1",
        "SONG": str(folder / "song.mp3"),
        "NO_SPACES": json.dumps(no_spaces),
        "RETRY_AFTER_MS": str(RETRY_AFTER_MS),
        "BUSY_TWICE": before(busy),
        "SILENT": before(FakePod(hold=asyncio.Event())),
        "DYING": before(FakePod(words=("a ", "quiet ", "song"), dies_after_words=2)),
    }
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "fleet.test.mjs"],
        cwd=folder,
        env=os.environ | where,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)[1]) >= 12
    assert busy.told("x-stainless-retry-count") == ["0", "1", "2"]
