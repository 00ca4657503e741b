"""What prose says to run exists: subcommands and flags of our programs, make targets, scripts."""

import re

import pytest
import typer
from documents import pages

from flamingo.commands import app
from flamingo.commands.services import PassThrough
from flamingo_operator.plugin import main as plugin

INLINE = re.compile(r"(?<!`)`((?:kubectl flamingo|flamingo|make) [^`]+)`(?!`)")
FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"`(?:PYTHONPATH=tests |cd tests && )?python3? (?:-m )?([\w./]+)[^`]*`")
PLUGIN = "kubectl flamingo "
PROGRAMS = {
    "flamingo": typer.main.get_command(app.app),
    "kubectl-flamingo": typer.main.get_command(plugin.app),
}


def inline():
    """Return the commands in the prose of all pages, each with the pages that name it."""
    found = {}
    for page in pages.names():
        text = FENCED.sub("", (pages.ROOT / page).read_text(encoding="utf-8"))
        for command in INLINE.findall(text):
            found.setdefault(" ".join(command.split()), set()).add(page)
    return [pytest.param(text, id=f"{text} ({', '.join(sorted(found[text]))})") for text in found]


@pytest.mark.parametrize("text", inline())
def test_a_command_in_prose_exists(text):
    program, *words = text.replace(PLUGIN, "kubectl-flamingo ").split()
    if program == "make":
        targets = [word for word in words if "=" not in word]
        assert set(targets) <= make_targets()
        return
    command = PROGRAMS[program]
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"{words[0]} is none of {[*command.commands]}"
        command = command.commands[words.pop(0)]
    if not isinstance(command, PassThrough) and "ignore_unknown_options" not in settings(command):
        flags = set(re.findall(r"(?<![\w-])(--[a-z][\w-]*|-[A-Za-z]\b)", " ".join(words)))
        known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
        assert flags <= known


def test_a_python_program_in_prose_exists():
    texts = {page: (pages.ROOT / page).read_text(encoding="utf-8") for page in pages.names()}
    missing = {
        (page, name)
        for page, text in texts.items()
        for name in PYTHON.findall(FENCED.sub("", text))
        if not exists(name)
    }
    assert missing == set()


def exists(name):
    """Whether a script is in the tree, or a module of ours or of `tests`."""
    path = name.replace(".", "/")
    folders = ("tests", "common", "client", "router", "inference_pod", "operator", "batches")
    modules = [pages.ROOT / folder / path for folder in folders]
    return (pages.ROOT / name).is_file() or any(
        one.is_dir() or one.with_suffix(".py").is_file() for one in modules
    )


def settings(command):
    return {name for name, value in command.context_settings.items() if value}


def make_targets():
    lines = (pages.ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    (phony,) = (line for line in lines if line.startswith(".PHONY:"))
    return set(phony.split()[1:])
