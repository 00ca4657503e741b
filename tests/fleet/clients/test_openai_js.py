"""The official `openai` package for JavaScript against real routers: its streams, retries, errors.

The tests are in `programs/openai.test.mjs`.
"""

import asyncio
import json
import os
import re
import subprocess

import pytest
from fakes import client_environments, clients
from fakes.patience import PATIENCE_S
from fakes.pods import FakePod

from flamingo_common import errors

RETRY_AFTER_MS = 150


@pytest.mark.parametrize("name", ["openai-js", "openai-js-6"])
def test_the_javascript_client_works_with_a_fleet(folder_of, routers, before, no_spaces, name):
    overloaded = errors.Overloaded("busy", retry_after_s=RETRY_AFTER_MS / 1000)
    busy = FakePod(fails_with=overloaded, num_failures=2)
    where = {
        "FLEET": f"{routers['FLEET']}/v1",
        "NO_SPACES": json.dumps(no_spaces),
        "RETRY_AFTER_MS": str(RETRY_AFTER_MS),
        "BUSY_TWICE": before(busy),
        "SILENT": before(FakePod(release=asyncio.Event())),
        "DYING": before(FakePod(words=("a ", "quiet ", "song"), aborts_after_words=2)),
    }
    done = subprocess.run(
        [client_environments.node(), "--test", "--test-reporter=tap", "openai.test.mjs"],
        cwd=folder_of(clients.CLIENTS[name]),
        env=os.environ | where,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)[1]) >= 12
    assert busy.header_values("x-stainless-retry-count") == ["0", "1", "2"]
