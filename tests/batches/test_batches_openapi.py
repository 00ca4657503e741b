"""schemathesis asks the service all that its document promises."""

import os
import subprocess
import sys
from pathlib import Path

from flamingo_common.wire import routes

FOLDER = Path(__file__).parents[1] / "fleet" / "schemathesis"


def test_what_the_document_promises_is_so(fleet, replica, tmp_path):
    service = replica(fleet.address, f"sqlite:///{tmp_path}/b.db")
    service.start()
    done = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            f"--config-file={FOLDER / 'schemathesis.toml'}",
            "run",
            f"{service.running.address}/openapi.json",
            "--phases=examples,fuzzing",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(FOLDER), "SCHEMATHESIS_HOOKS": "checks"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"Tested: {len(routes.BATCHES)}" in done.stdout
