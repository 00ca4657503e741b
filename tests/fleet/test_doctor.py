"""`flamingo doctor`: its checks, its advice, and its exit status."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from fakes import hub as hubs
from fakes import pods
from fakes.command_line import flamingo
from fakes.patience import PATIENCE_S

from flamingo_pod.model.builtin import build

ROOT = Path(__file__).parents[2]
FLAMINGO = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()", "doctor"]


def check_results(*flags, **variables):
    """Return (exit status, checks by topic)."""
    done = run("--json", *flags, **variables)
    assert done.stderr == ""
    return done.returncode, {check["topic"]: check for check in json.loads(done.stdout)}


def run(*flags, **variables):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [*FLAMINGO, *flags],
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture(scope="module")
def report(model_cache):
    return run("--device", "cpu")


def test_this_machine_can_serve_the_tiny_model(report):
    assert report.returncode == 0, report.stdout
    for text in ("mp3", "opus", "m4a", "FFmpeg", "measure", "built in, with random weights"):
        assert text in report.stdout
    assert report.stdout.splitlines()[-1].startswith("no problems found")


def test_report_fits_a_narrow_terminal_and_gives_advice_only_where_needed(report):
    lines = report.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for line, following in itertools.pairwise(lines):
        if line.startswith("✓"):
            assert not following.lstrip().startswith("→"), "a check that passed has no advice"


def test_the_size_of_a_model_is_compared_with_the_memory(model_cache):
    folder = build.ensure_built("flamingo-tiny-27m", model_cache)
    status, found = check_results("--device", "cpu", "--model", str(folder))
    assert status == 0
    assert "27.8 M parameters, 0.11 GB, complete" in found["model"]["message"]
    assert found["memory"]["message"].startswith("0.1 GiB of weights as float32")


def test_weights_that_are_quantized_while_loading_are_checked_as_such(model_cache):
    folder = build.ensure_built("flamingo-tiny-27m", model_cache)
    flags = ("--device", "cpu", "--quantization", "fp8", "--model", str(folder))
    status, found = check_results(*flags)
    assert status == 0
    assert found["FP8"]["message"] == "a CPU computes with FP8 weights slowly"
    assert found["memory"]["message"].startswith("0.0 GiB of weights as float32")


@pytest.mark.parametrize(
    "flags", [("--device", "tpu"), ("--dtype", "int4"), ("--quantization", "int8")]
)
def test_a_value_that_a_pod_would_refuse_is_refused(flags):
    done = run(*flags)
    assert done.returncode == 2
    assert f"'{flags[1]}' is not" in " ".join(done.stderr.split())


def test_an_incomplete_file_is_found(model_cache, tmp_path):
    for path in build.ensure_built("flamingo-tiny", model_cache).iterdir():
        content = path.read_bytes()
        truncated = content[:-100] if path.suffix == ".safetensors" else content
        (tmp_path / path.name).write_bytes(truncated)
    status, found = check_results("--model", str(tmp_path))
    assert status == 1
    assert "is truncated or damaged" in found["model"]["message"]
    assert "flamingo pull" in found["model"]["advice"]


def test_a_model_of_the_hub_is_looked_up_and_not_downloaded(model_cache, tmp_path):
    with hubs.running(hubs.FakeHub(build.ensure_built("flamingo-tiny", model_cache))) as hub:
        environ = hub.environ | {"HF_HOME": str(tmp_path)}
        status, found = check_results("--model", hub.repo, **environ)
    assert [check for check in found.values() if check["status"] == "failed"] == []
    assert status == 0
    assert found["model"]["advice"] == "flamingo pull music/tiny"
    assert hub.sent.total() == 0


def test_an_unreachable_fleet_is_a_problem_if_its_url_was_given():
    status, found = check_results("--url", "http://127.0.0.1:9")
    assert (status, found["fleet"]["status"]) == (1, "failed")


class RecordingPod(pods.FakePod):
    """A pod that records the keys it is sent, with any request."""

    def app(self):
        self.keys = set()

        @web.middleware
        async def record(request, handler):
            self.keys.add(request.headers.get("Authorization"))
            return await handler(request)

        app = super().app()
        app.middlewares.append(record)
        return app


def test_the_key_is_sent_to_the_fleet():
    pod = RecordingPod()
    done = flamingo("doctor", "--api-key", "fk-mine", "--device", "cpu", pod=pod)
    assert b"serves" in done.out
    assert pod.keys == {"Bearer fk-mine"}


def test_the_report_ends_with_the_number_of_problems():
    done = run("--url", "http://127.0.0.1:9", "--device", "cpu")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("1 problem to fix")


def test_an_installation_without_the_pod_extra_gets_advice_how_to_add_it(tmp_path):
    paths = [Path(path) for path in sys.path if path and Path(path).is_dir()]
    for path in [path for path in paths if path.name == "site-packages"]:
        for entry in path.iterdir():
            is_omitted = entry.name.partition("-")[0] in {"torch", "transformers"}
            if not is_omitted and not (tmp_path / entry.name).exists():
                (tmp_path / entry.name).symlink_to(entry)
    ours = [str(ROOT / folder) for folder in ("common", "client", "router", "inference_pod")]
    program = [sys.executable, "-S", "-P", *FLAMINGO[2:]]
    environ = {"PYTHONPATH": ":".join([str(tmp_path), *ours]), "PATH": "/usr/bin:/bin"}

    done = subprocess.run(program, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "torch and transformers not installed" in done.stdout
    assert "pip install '.[pod]'" in done.stdout
