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
from fakes.patience import PATIENCE_S

from flamingo_common.service import docs
from flamingo_common.wire import openapi, routes

FOLDER = Path(__file__).parent / "schemathesis"
TABLES = {"pod": routes.POD, "router": routes.ROUTER}
PHASES = {"pod": "examples,coverage,fuzzing", "router": "examples,fuzzing"}
"""All that a body can be is judged by the pod: once is enough for its twelve thousand cases."""
BODIES = [route.path for route in routes.POD if route.body is not None]
RUNS = [*(("pod", path) for path in (*BODIES, "all others")), ("router", "all")]
"""A run for each body that the pod takes: all of them in one take minutes on a busy machine."""


def address_of(name, fleet):
    """Return the address of one of the two services."""
    router, pods = fleet
    return (router if name == "router" else pods[0]).address


@pytest.mark.parametrize("name", TABLES)
def test_the_document_that_is_served_is_the_one_of_the_table(fleet, name):
    address = address_of(name, fleet)
    served = httpx2.get(f"{address}/openapi.json", timeout=PATIENCE_S).json()
    assert served == openapi.document(TABLES[name], version=docs.version())
    version = httpx2.get(f"{address}/version", timeout=PATIENCE_S).json()
    assert version == {"version": docs.version()}


@pytest.mark.parametrize(("name", "path"), RUNS)
def test_what_the_document_promises_is_so(fleet, name, path, tmp_path):
    choices = {"all": [], "all others": [f"--exclude-path={one}" for one in BODIES]}
    chosen = choices.get(path, [f"--include-path={path}"])
    done = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            f"--config-file={FOLDER / 'schemathesis.toml'}",
            "run",
            f"{address_of(name, fleet)}/openapi.json",
            f"--phases={PHASES[name]}",
            *chosen,
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(FOLDER), "SCHEMATHESIS_HOOKS": "checks"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    operations = [route.path for route in TABLES[name]]
    asked = {
        "all": operations,
        "all others": [one for one in operations if one not in BODIES],
    }.get(path, [one for one in operations if one == path])
    assert f"Tested: {len(asked)}" in done.stdout
