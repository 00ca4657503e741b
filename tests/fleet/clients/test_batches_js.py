"""The official `openai` package for JavaScript with files and batches."""

import json
import os
import subprocess

import pytest
from fakes import client_environments, clients
from fakes.batch_service import BatchService
from fakes.echo_fleet import EchoFleet
from fakes.patience import PATIENCE_S


@pytest.fixture
def service(tmp_path):
    stores = ("--database-url", f"sqlite:///{tmp_path}/b.db", "--contents-url", f"{tmp_path}/c")
    with EchoFleet().serving() as fleet:
        made = BatchService(tmp_path, ("--server-url", fleet.address, *stores))
        made.start()
        yield made
        made.stop()


@pytest.mark.parametrize("name", ["openai-js", "openai-js-6"])
def test_the_javascript_client_works_with_files_and_batches(folder_of, service, name):
    done = subprocess.run(
        [client_environments.node(), "batches.mjs"],
        cwd=folder_of(clients.CLIENTS[name]),
        env=os.environ | {"BATCHES": f"{service.running.address}/v1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "status": "completed",
        "counts": {"total": 3, "completed": 3, "failed": 0},
        "metadata": {"album": "Blue"},
        "answered": ["line-1", "line-2", "line-3"],
        "isListed": True,
        "isFound": True,
        "isDeleted": True,
        "refused": 400,
    }
