"""`flamingo completion`: what a shell makes of the script."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.command_line import flamingo
from fakes.wanted import absent

SCRIPT = f'#!/bin/sh\nexec {sys.executable} -P -m flamingo "$@"\n'


@pytest.fixture
def environ(tmp_path):
    """Return an environment whose `flamingo` is ours."""
    program = tmp_path / "flamingo"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["flamingo", "ca"], ["caption"]),
        (["flamingo", "caption", "--max-"], ["--max-tokens"]),
        (["flamingo", "keys", "n"], ["new"]),
    ],
)
def test_bash_completes_commands_and_options(environ, words, completed):
    bash = shutil.which("bash") or absent("bash", "its completion is tested with it")
    program = (
        f"source <(flamingo completion bash); COMP_WORDS=({' '.join(words)});"
        f" COMP_CWORD={len(words) - 1}; _flamingo_completion flamingo;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [bash, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == (completed, "")


@pytest.mark.parametrize(
    ("shell", "asking"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "flamingo cap"}),
        (
            "fish",
            {
                "_TYPER_COMPLETE_ARGS": "flamingo cap",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
        ),
    ],
)
def test_zsh_and_fish_get_a_script_and_what_it_asks_for(shell, asking):
    script = flamingo("completion", shell)
    assert (script.status, script.err) == (0, b"")
    assert f"_FLAMINGO_COMPLETE=complete_{shell}".encode() in script.out

    answer = flamingo(environ={"_FLAMINGO_COMPLETE": f"complete_{shell}", **asking})
    assert b"caption" in answer.out
    assert b"embed" not in answer.out


def test_another_shell_is_a_usage_error():
    assert flamingo("completion", "tcsh").status == 2


@pytest.mark.parametrize("argument", ["--version", "version"])
def test_version_is_an_option_and_a_command(argument):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "flamingo", argument],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path("/"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("flamingo ")


@pytest.mark.parametrize("command", [[], ["caption"], ["serve"], ["router"], ["config"], ["bench"]])
def test_short_form_of_help(command):
    done = flamingo(*command, "-h")
    assert done.status == 0
    assert b"usage" in done.out.lower()
