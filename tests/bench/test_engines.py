"""The comparison with other projects' engines, small."""

import os
import subprocess
import sys
from pathlib import Path

from bench.engines import process
from bench.engines.catalog import ALL

TESTS = Path(__file__).parents[1]


def test_the_comparison_offers_what_its_process_can_run():
    assert list(ALL.descriptions) == ["generate", "static", "flamingo", "continuous", "vllm"]
    assert process.ENGINES.keys() == ALL.descriptions.keys()


def test_an_engine_that_is_not_installed_is_skipped(model_cache):
    command = [sys.executable, "-P", "-m", "bench.engines", "engine", "--quick"]
    done = subprocess.run(
        [*command, "--clips", "1", "--engines", "generate,continuous,vllm"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "`python -m bench.engines engine --quick" in done.stdout
    assert "vllm: skipped: vllm is not installed" in done.stdout
