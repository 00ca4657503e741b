"""schemathesis asks a real pod, and a router before two, all that their documents promise.

It generates requests that the document allows and requests that it forbids, and checks
statuses, bodies, events and headers of every answer against it.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from flamingo_common.service import docs
from flamingo_common.wire import openapi, routes

FOLDER = Path(__file__).parent / "schemathesis"
TABLES = {"pod": routes.POD, "router": routes.ROUTER}
PHASES = {"pod": "examples,coverage,fuzzing", "router": "examples,fuzzing"}
"""All that a body can be is judged by the pod: once is enough for its two thousand cases."""
PATIENCE_S = 300


@pytest.fixture(params=TABLES)
def service(request, fleet):
    """One of the two, by name and address."""
    router, pods = fleet
    return request.param, (router if request.param == "router" else pods[0]).address


def test_the_document_that_is_served_is_the_one_of_the_table(service):
    name, address = service
    served = httpx2.get(f"{address}/openapi.json").json()
    assert served == openapi.document(TABLES[name], version=docs.version())
    assert httpx2.get(f"{address}/version").json() == {"version": docs.version()}


def test_what_the_document_promises_is_so(service, tmp_path):
    name, address = service
    done = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            f"--config-file={FOLDER / 'schemathesis.toml'}",
            "run",
            f"{address}/openapi.json",
            f"--phases={PHASES[name]}",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(FOLDER), "SCHEMATHESIS_HOOKS": "checks"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    num_operations = len(TABLES[name])
    assert f"Tested: {num_operations}" in done.stdout
