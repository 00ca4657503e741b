"""The operator's process: probes, keys, and how it starts and stops, without a cluster."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from fakes.key_files import EYE, FILE
from fakes.patience import PATIENCE_S

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}
ENDLESS_IMPORT = """
import importlib.abc, sys, threading
from flamingo_common.service import early_stop
from flamingo_operator import __main__ as command
class Endless(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            print("importing", flush=True)
            threading.Event().wait()
sys.meta_path.insert(0, Endless())
early_stop.handle()
sys.exit(command.main(sys.argv[1:]))
"""


@pytest.fixture
def flags(tmp_path):
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    return [f"--kubeconfig={tmp_path / 'kubeconfig'}", "--port=0"]


@contextlib.contextmanager
def running(*command):
    """Run an operator; yield the process, whose log is its output."""
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def url(process):
    """Return its address, once it listens."""
    for line in process.stdout:
        if found := re.search(r'"port": (\d+), "event": "service.listening"', line):
            return f"http://127.0.0.1:{found[1]}"
    raise AssertionError("it ended")


def get(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def test_metrics_need_a_key_and_origins_are_allowed_as_the_settings_say(flags, tmp_path):
    (tmp_path / "keys").write_text(json.dumps(FILE))
    flags += [f"--key-file={tmp_path / 'keys'}", "--cors-origin=https://page.example"]
    with running("-m", "flamingo_operator", *flags) as process:
        base = url(process)
        assert get(f"{base}/metrics")[0] == 401
        assert get(f"{base}/health/live")[0] == 200
        given = {"Authorization": f"Bearer {EYE}", "Origin": "https://page.example"}
        status, _, headers = get(f"{base}/metrics", **given)
        assert status == 200
        assert headers["Access-Control-Allow-Origin"] == "https://page.example"


def test_probes_are_answered_and_a_stop_is_heeded_while_most_is_still_imported(flags):
    program = ENDLESS_IMPORT.format(module="flamingo_operator.operation")
    with running("-c", program, *flags) as process:
        base = url(process)
        assert get(f"{base}/health/live")[0] == 200
        status, body, _ = get(f"{base}/health/ready")
        assert (status, json.loads(body)["problems"]) == (503, ["it is starting"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_a_stop_is_heeded_before_anything_is_imported(flags):
    program = ENDLESS_IMPORT.format(module="flamingo_operator.process")
    with running("-c", program, *flags) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_a_replica_that_cannot_read_the_lease_is_not_ready_and_says_why(flags):
    with running("-m", "flamingo_operator", *flags) as process:
        base = url(process)
        for line in process.stdout:
            if "lease.unreachable" in line:
                break
        status, body, _ = get(f"{base}/health/ready")
        assert status == 503
        assert json.loads(body)["problems"][0].startswith("Lease flamingo-system/flamingo-operator")


def test_without_a_kubeconfig_outside_of_a_cluster_the_flag_is_named():
    with running("-m", "flamingo_operator", "--port=0") as process:
        log = process.stdout.read()
        assert process.wait(PATIENCE_S) == 1
    assert "set --kubeconfig: this process is not a pod with a service account" in log
    assert "Traceback" not in log


def test_a_kubeconfig_that_cannot_be_used_says_why(tmp_path):
    (tmp_path / "kubeconfig").write_text("clusters: []\ncurrent-context: a\ncontexts: []\n")
    with running(
        "-m", "flamingo_operator", "--port=0", f"--kubeconfig={tmp_path}/kubeconfig"
    ) as one:
        log = one.stdout.read()
        assert one.wait(PATIENCE_S) == 1
    assert "kubeconfig cannot be used: " in log
    assert "Traceback" not in log
