"""What programs say of a wrong flag, a missing extra and a full disk: one line, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from flamingo_common.service.exit_status import ExitStatus

WITHOUT = """
import runpy, sys
class Finder:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "soxr", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""Runs a module where those packages are not installed."""


def run(*command, stdout=subprocess.PIPE):
    done = subprocess.run(
        [sys.executable, "-P", *command],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_pod_reads_its_flags_before_it_imports_torch():
    status, err = run("-c", WITHOUT, "flamingo_pod", "--no-such-flag")
    assert status == ExitStatus.INVALID_CONFIGURATION
    assert err == "flamingo serve: unrecognized arguments: --no-such-flag\n"


@pytest.mark.parametrize(
    ("module", "flags", "name"),
    [
        ("flamingo_pod", ["--model=flamingo-tiny"], "flamingo serve"),
        ("flamingo_pod.bench", ["engine"], "flamingo bench"),
        ("flamingo_pod.bench", ["decode"], "flamingo bench"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(module, flags, name):
    status, err = run("-c", WITHOUT, module, *flags)
    assert status == ExitStatus.MISSING_DEPENDENCY
    assert err.startswith(f"{name}: ")
    assert err.endswith("is not installed; in a checkout, run: pip install '.[pod]'\n")
    assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("verb", ["show", "schema"])
def test_settings_that_cannot_be_written_are_one_line(verb):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        status, err = run("-m", "flamingo_pod.config", verb, stdout=full)
    line = "flamingo serve: cannot write to standard output: no space left on device\n"
    assert (status, err) == (1, line)
