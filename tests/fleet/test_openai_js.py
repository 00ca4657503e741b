"""The official `openai` package for JavaScript against real routers; the tests are in `openai_js`.

Without Node.js the test is skipped with the reason; `FLAMINGO_REQUIRE_ALL=1` makes that a failure.
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


def skip_or_fail(reason):
    if os.environ.get("FLAMINGO_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, needs):
    """A folder with the tests and the client, installed as the lock file says."""
    needs("npm", install="Debian: apt install nodejs npm")
    version = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, check=True
    ).stdout
    if int(version.removeprefix("v").partition(".")[0]) < NODE_MAJOR:
        skip_or_fail(f"node is {version.strip()}; the client needs {NODE_MAJOR} or newer")
    copy = shutil.copytree(FOLDER, tmp_path_factory.mktemp("js") / "openai_js")
    done = subprocess.run(
        INSTALL, cwd=copy, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        skip_or_fail(f"npm could not install the client: {done.stderr}")
    return copy


def test_the_javascript_client_works_with_a_fleet(folder, fleet, before, clips, no_spaces):
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
        "SILENT": before(FakePod(release=asyncio.Event())),
        "DYING": before(FakePod(words=("a ", "quiet ", "song"), aborts_after_words=2)),
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
    assert busy.header_values("x-stainless-retry-count") == ["0", "1", "2"]
