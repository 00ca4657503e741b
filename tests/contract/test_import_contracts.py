"""The import contracts hold, and would notice if they did not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("common", "client", "router", "inference_pod", "operator", "batches")


def lint(root):
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    path = ":".join(str(root / folder) for folder in FOLDERS)
    return subprocess.run(
        command,
        cwd=root,
        env={"PYTHONPATH": path, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    """A copy of the packages, to break."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line"),
    [
        pytest.param(
            "router/flamingo_router/balancing/policy.py", "import time", id="a clock in the policy"
        ),
        pytest.param(
            "router/flamingo_router/balancing/cost.py", "import random", id="dice in the cost"
        ),
        pytest.param(
            "inference_pod/flamingo_pod/engine/costs/load.py",
            "import torch",
            id="a tensor in the load",
        ),
        pytest.param(
            "common/flamingo_common/wire/sse.py", "import asyncio", id="a loop in the wire"
        ),
        pytest.param(
            "router/flamingo_router/app.py",
            "import flamingo_pod.text.prompt",
            id="router knows pod",
        ),
        pytest.param(
            "inference_pod/flamingo_pod/app.py", "import flamingo.client", id="pod calls client"
        ),
        pytest.param(
            "common/flamingo_common/errors.py", "import flamingo_common.wire", id="upward"
        ),
        pytest.param(
            "operator/flamingo_operator/api/names.py",
            "import flamingo_operator.api.spec",
            id="upward too",
        ),
    ],
)
def test_a_broken_rule_is_found(copy, file, line):
    path = copy / file
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout


def test_the_rules_hold():
    assert lint(ROOT).returncode == 0
