"""The operator's settings, and what they say of files that cannot be used."""

import subprocess
import sys

import pytest

from flamingo_common.service import settings
from flamingo_operator.settings import Settings


def loaded(*argv):
    return settings.load(Settings, argv, {}, prog="flamingo operator")


def test_a_kubeconfig_is_checked_before_the_operator_starts(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("{kind: Config, clusters: [], contexts: []}")
    assert loaded(f"--kubeconfig={path}").kubeconfig == str(path)
    assert loaded(f"--kubeconfig={path}:{path}").kubeconfig == f"{path}:{path}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory"),
        ("[", "the file is not valid YAML"),
        ("kind: Config", "the file is not a kubeconfig: it lists no clusters"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_a_usage_error(tmp_path, capsys, text, message):
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        loaded(f"--kubeconfig={path}")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("flamingo operator: --kubeconfig: ")
    assert message in error


@pytest.mark.parametrize("argv", [["--scraper-namespaces="], ["--scraper-namespaces", ""]])
def test_an_empty_list_is_not_the_default(argv):
    assert loaded().scraper_namespaces == ["monitoring"]
    assert loaded(*argv).scraper_namespaces == []


def test_items_after_an_empty_list_count():
    found = loaded("--scraper-namespaces=", "--scraper-namespaces=a, b")
    assert found.scraper_namespaces == ["a", "b"]


def test_a_missing_dependency_is_named_with_its_extra():
    program = (
        "import sys, runpy\n"
        "sys.modules['kopf'] = None\n"
        "runpy.run_module('flamingo_operator', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert done.stderr == (
        "flamingo operator: kopf is not installed; in a checkout, run: pip install '.[operator]'\n"
    )
