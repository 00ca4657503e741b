"""What may follow on the command line of `kubectl flamingo`."""

import subprocess
import sys
from itertools import chain

import pytest

from flamingo_operator.plugin import command_words, completion, shell_scripts
from flamingo_operator.plugin.completion import Source
from flamingo_operator.plugin.main import COMMANDS, app

WORDS = command_words.describe(chain.from_iterable(COMMANDS.values()))
FAKE = """#!/bin/sh
for one; do echo "$one" >> words; done
printf 'rollout\\tx\\n--for=ready\\n:4\\n'
"""


def complete(*words):
    return completion.complete(WORDS, words)


def words_of(*words):
    return [one.word for one in complete(*words).candidates]


def test_every_command_is_a_candidate_with_its_description():
    names = {one.callback.__name__ for one in app.registered_commands}
    found = complete("").candidates
    assert {one.word for one in found} == names
    assert all(one.description.endswith(".") for one in found)
    assert words_of("st") == ["status"]


def test_options_and_their_values_are_candidates():
    assert {"--output", "--namespace", "--all-namespaces"} <= set(words_of("status", "-"))
    assert words_of("status", "--all") == ["--all-namespaces"]
    assert words_of("status", "-o", "") == ["json", "yaml"]
    assert words_of("wait", "music", "--for", "ro") == ["rollout"]
    assert words_of("wait", "--for=ro") == ["--for=rollout"]
    assert words_of("completion", "") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    ("words", "source"),
    [
        (("status", ""), Source.DEPLOYMENTS),
        (("status", "-n", "audio", ""), Source.DEPLOYMENTS),
        (("history", "--revision", "3", "mu"), Source.DEPLOYMENTS),
        (("status", "-A", "mu"), Source.DEPLOYMENTS),
        (("status", "-n", ""), Source.NAMESPACES),
        (("status", "--namespace=a"), Source.NAMESPACES),
        (("status", "--context", ""), Source.CONTEXTS),
        (("drain", ""), Source.SERVER_PODS),
        (("logs", "music", "--pod", ""), Source.SERVER_PODS),
        (("plan", "mani"), Source.FILES),
        (("plan", "-f", "mani"), Source.FILES),
        (("status", "music", ""), Source.NOTHING),
        (("wait", "--timeout", ""), Source.NOTHING),
        (("nothing", ""), Source.NOTHING),
        (("status", "--nothing=", ""), Source.DEPLOYMENTS),
    ],
)
def test_names_come_from_the_cluster(words, source):
    assert complete(*words).source is source


def test_a_candidate_is_one_line_and_the_directive_the_last():
    program = "from flamingo_operator.plugin.main import complete; complete()"
    done = subprocess.run(
        [sys.executable, "-c", program, "res"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "restart\tReplace all server pods by a rollout.\n:4\n"


def test_the_script_for_bash_completes_in_bash(tmp_path):
    fake = tmp_path / "kubectl_complete-flamingo"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    (tmp_path / "script").write_text(shell_scripts.BASH)
    program = """
        PATH=$PWD:$PATH; source ./script
        COMP_LINE="kubectl-flamingo wait --for=ro" COMP_POINT=${#COMP_LINE}
        COMP_WORDBREAKS="=" COMP_LINE="kubectl-flamingo wait --for=ro"
        COMP_POINT=${#COMP_LINE}; _kubectl_flamingo; printf '%s ' "${COMPREPLY[@]}"
        rm words; COMP_LINE="kubectl-flamingo top "; COMP_POINT=${#COMP_LINE}; _kubectl_flamingo
        cat words
    """
    done = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "rollout ready top\n\n"
