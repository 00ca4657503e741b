"""`flamingo doctor`: what it finds here, what it says to do, and how it ends."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import hub as hubs

from flamingo_pod.model.builtin import build

ROOT = Path(__file__).parents[2]
FLAMINGO = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()", "doctor"]


def examined(*flags, **variables):
    """Return (exit status, checks by topic)."""
    done = run("--json", *flags, **variables)
    assert done.stderr == ""
    return done.returncode, {check["topic"]: check for check in json.loads(done.stdout)}


def run(*flags, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [*FLAMINGO, *flags],
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def here(model_cache):
    return run("--device", "cpu")


def test_this_machine_is_fit_to_serve_the_tiny_model(here):
    assert here.returncode == 0, here.stdout
    for words in ("mp3", "opus", "m4a", "FFmpeg", "built in, with random weights"):
        assert words in here.stdout
    assert here.stdout.splitlines()[-1].startswith("no problems found")


def test_its_lines_fit_a_narrow_terminal_and_say_what_to_do(here):
    lines = here.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for line, following in itertools.pairwise(lines):
        if line.startswith("✓"):
            assert not following.lstrip().startswith("→"), "what is good needs no advice"


def test_a_folder_is_examined_and_its_need_compared_with_the_memory(model_cache):
    folder = build.ensure("flamingo-tiny-27m", model_cache)
    status, found = examined("--device", "cpu", "--model", str(folder))
    assert status == 0
    assert "27.8 M parameters, 0.11 GB, complete" in found["model"]["says"]
    assert found["memory"]["says"].startswith("0.1 GiB of weights as float32")


def test_a_file_that_was_cut_off_is_found(model_cache, tmp_path):
    for path in build.ensure("flamingo-tiny", model_cache).iterdir():
        content = path.read_bytes()
        cut = content[:-100] if path.suffix == ".safetensors" else content
        (tmp_path / path.name).write_bytes(cut)
    status, found = examined("--model", str(tmp_path))
    assert status == 1
    assert "is truncated or damaged" in found["model"]["says"]
    assert "flamingo pull" in found["model"]["advice"]


def test_a_model_of_the_hub_is_looked_up_and_not_fetched(model_cache, tmp_path):
    with hubs.running(hubs.FakeHub(build.ensure("flamingo-tiny", model_cache))) as hub:
        environ = hub.environ | {"HF_HOME": str(tmp_path)}
        status, found = examined("--model", hub.repo, **environ)
    assert status == 0
    assert found["model"]["advice"] == "flamingo pull music/tiny"
    assert hub.sent.total() == 0


def test_a_fleet_that_was_asked_for_and_does_not_answer_is_bad():
    status, found = examined("--url", "http://127.0.0.1:9")
    assert (status, found["fleet"]["status"]) == (1, "failed")


def test_an_install_without_the_pods_extra_gets_a_useful_answer(tmp_path):
    paths = [Path(path) for path in sys.path if path and Path(path).is_dir()]
    for path in [path for path in paths if path.name == "site-packages"]:
        for entry in path.iterdir():
            is_left_out = entry.name.partition("-")[0] in {"torch", "transformers"}
            if not is_left_out and not (tmp_path / entry.name).exists():
                (tmp_path / entry.name).symlink_to(entry)
    ours = [str(ROOT / folder) for folder in ("common", "client", "router", "inference_pod")]
    program = [sys.executable, "-S", "-P", *FLAMINGO[2:]]
    environ = {"PYTHONPATH": ":".join([str(tmp_path), *ours]), "PATH": "/usr/bin:/bin"}

    done = subprocess.run(program, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "torch and transformers not installed" in done.stdout
    assert "pip install 'flamingo-fleet[pod]'" in done.stdout
