"""`kubectl flamingo` as a process, against a real API server with objects made by hand."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from control_plane.deployments import FULL, deployment
from control_plane.plugin_process import output, refusal, run_plugin
from fakes.own_address import own_address

from flamingo_operator.api import names

NAME = "plugin"
LOAD = {
    "model": "flamingo-tiny",
    "state": "ready",
    "epoch": "e1",
    "sequence": 7,
    "backlog_s": 12.34,
    "num_running": 3,
    "num_waiting": 2,
    "num_kv_tokens": 1000,
    "num_kv_tokens_used": 250,
}
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def serving(report, *, status=200) -> Iterator[int]:
    """Answer `/stats` as a pod does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            text = json.dumps(report).encode()
            self.send_response(status if self.path == "/stats" else 404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("0.0.0.0", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def condition(kind, status, reason, message=""):
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
    }


def server_pod(suffix, port, fleet=NAME):
    metadata = {"name": f"{fleet}-{suffix}", "labels": names.labels(fleet, "server")}
    container = {
        "name": "server",
        "image": "none.example/pod:1",
        "ports": [{"containerPort": port}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], "schedulerName": "nobody"},
    }


def put(cluster, kind, name, status):
    patch = json.dumps({"status": status})
    cluster.output("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={patch}")


@pytest.fixture(scope="module")
def fleet(cluster):
    """Make a deployment with three servers: one works, one crashes, one finds no GPU."""
    cluster.output("create", "-f", "-", body=deployment({**FULL, "paused": False}, name=NAME))
    with serving(LOAD) as port:
        for suffix in ("works", "crashes", "waits"):
            cluster.output("create", "-f", "-", body=server_pod(suffix, port))
        placed = condition("PodScheduled", "True", "Placed")
        put(
            cluster,
            "pod",
            f"{NAME}-works",
            {
                "phase": "Running",
                "podIP": own_address(),
                "podIPs": [{"ip": own_address()}],
                "conditions": [placed, condition("Ready", "True", "Ready")],
            },
        )
        ended = {"terminated": {"exitCode": 4, "reason": "Error", "message": "no such model: a/b"}}
        crashing = {
            "name": "server",
            "image": "a",
            "imageID": "a",
            "ready": False,
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": ended,
        }
        put(
            cluster,
            "pod",
            f"{NAME}-crashes",
            {
                "phase": "Running",
                "conditions": [placed, condition("Ready", "False", "ContainersNotReady")],
                "containerStatuses": [crashing],
            },
        )
        short = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
        put(
            cluster,
            "pod",
            f"{NAME}-waits",
            {"conditions": [condition("PodScheduled", "False", "Unschedulable", short)]},
        )
        put(
            cluster,
            "fd",
            NAME,
            {
                "replicas": 3,
                "readyReplicas": 1,
                "url": names.service_url(NAME, "default", 80),
                "scaling": {"desiredReplicas": 3},
                "conditions": [condition("Ready", "False", "WaitingForGPU", "1 of 3 is ready")],
            },
        )
        yield
    cluster.output("delete", "fd", NAME)
    cluster.output("delete", "pod", "--all", "--force", "--grace-period=0")


def test_status_of_one_shows_failures_and_hints(cluster, fleet):
    shown = output(cluster, "status", NAME)
    assert f"default/{NAME}: NotReady (WaitingForGPU)" in shown
    assert "1 of 3 ready, 1 unscheduled, 1 not ready" in shown
    assert "3 replicas desired (min 0, max 8)" in shown
    assert "ModelNotFound for " in shown
    assert f": 1 server pod, for example {NAME}-crashes" in shown
    assert "no such model: a/b" in shown
    assert "→ check spec.model.id and spec.model.revision" in shown
    assert "→ no free NVIDIA-L40S or NVIDIA-A100-SXM4-80GB" in shown


def test_status_of_all_has_a_row_for_each(cluster, fleet):
    rows = {row.split()[0]: row.split() for row in output(cluster, "status").splitlines()}
    assert rows[NAME][1:5] == ["3", "1", "False", "WaitingForGPU"]
    assert ["default", NAME, "3"] in [
        row.split()[:3] for row in output(cluster, "status", "-A").splitlines()
    ]


def test_status_and_top_are_documents_for_programs(cluster, fleet):
    whole = json.loads(output(cluster, "status", NAME, "-o", "json"))
    assert whole["replicas"]["ready"] == 1
    assert [one["reason"] for one in whole["failures"]] == ["ModelNotFound", "WaitingForGPU"]
    every = yaml.safe_load(output(cluster, "status", "-A", "--output=yaml"))["items"]
    assert [one["model"] for one in every if one["name"] == NAME] == [whole["model"]]
    pods = json.loads(output(cluster, "top", NAME, "-o", "json"))["items"]
    loads = {one["pod"]: (one["state"], one["running"], one["kvCacheUsage"]) for one in pods}
    assert loads[f"{NAME}-works"] == ("ready", 3, 0.25)
    assert loads[f"{NAME}-waits"] == ("unscheduled", None, None)


def test_top_reads_each_pod_s_load_through_the_api_server(cluster, fleet):
    rows = {row.split()[0]: row.split() for row in output(cluster, "top", NAME).splitlines()}
    assert rows["works"][1:8] == ["ready", "-", "12.3", "s", "3", "2", "25%"]
    assert rows["waits"][1] == "unscheduled"


def test_top_reports_pods_that_require_a_key_and_uses_a_port_forward_with_one(cluster):
    cluster.output("create", "-f", "-", body=deployment(name="keyed"))
    with serving({}, status=401) as port:
        cluster.output("create", "-f", "-", body=server_pod("a", port, "keyed"))
        placed = {"conditions": [condition("PodScheduled", "True", "Placed")]}
        put(cluster, "pod", "keyed-a", {"phase": "Running", "podIP": own_address(), **placed})
        without = run_plugin(cluster, "top", "keyed")
        # There is no kubelet here to forward a port; that is one line too.
        with_one = run_plugin(cluster, "top", "keyed", FLAMINGO_API_KEY="k-1")
    for done, expected in (
        (without, "set FLAMINGO_API_KEY to a key with the permission observe"),
        (with_one, "does not have a host"),
    ):
        assert done.returncode == 0
        assert "unreachable" in done.stdout
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


def test_drain_sets_the_annotation_and_cancel_removes_it(cluster, fleet):
    where = ("get", "pod", f"{NAME}-works", "-o", "jsonpath={.metadata.annotations}")
    assert output(cluster, "drain", f"{NAME}-works") == f"pod/{NAME}-works drain requested\n"
    assert json.loads(cluster.output(*where)) == {names.DRAIN_ANNOTATION: "true"}
    assert "draining" in output(cluster, "top", NAME)
    output(cluster, "drain", f"{NAME}-works", "--cancel")
    assert cluster.output(*where) in {"", "{}"}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("status", "nobody"), "FlamingoDeployment 'nobody' in namespace 'default' not found"),
        (("top", "nobody"), "FlamingoDeployment 'nobody' in namespace 'default' not found"),
        (("logs", "nobody"), "FlamingoDeployment 'nobody' in namespace 'default' not found"),
        (("drain", "nobody"), "pod 'nobody' in namespace 'default' not found"),
        (("history", "nobody"), "FlamingoDeployment 'nobody' in namespace 'default' not found"),
        (("restart", "nobody"), "FlamingoDeployment 'nobody' in namespace 'default' not found"),
        (("undo", "nobody"), "FlamingoDeployment 'nobody' in namespace 'default' not found"),
        (("wait", "nobody"), "nobody: it does not exist"),
        (("status", "--context", "nobody"), "cannot load the kubeconfig"),
    ],
)
def test_an_error_is_one_line(cluster, args, expected):
    assert expected in refusal(cluster, *args)


def test_no_kubeconfig_no_cluster_and_no_permission_are_different_errors(cluster, fleet, tmp_path):
    assert "cannot load the kubeconfig" in refusal(cluster, "status", kubeconfig=tmp_path / "none")
    config = json.loads(cluster.output("config", "view", "--raw", "-o", "json"))
    place = config["clusters"][0]["cluster"]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config["clusters"][0]["cluster"] = {**place, "server": f"https://127.0.0.1:{port}"}
    (tmp_path / "gone").write_text(json.dumps(config))
    error = refusal(cluster, "status", kubeconfig=tmp_path / "gone")
    assert f"cannot reach the API server at https://127.0.0.1:{port}" in error
    cluster.output("create", "serviceaccount", "nobody")
    config["clusters"][0]["cluster"] = place
    config["users"][0]["user"] = {"token": cluster.output("create", "token", "nobody").strip()}
    (tmp_path / "nobody").write_text(json.dumps(config))
    error = refusal(cluster, "status", kubeconfig=tmp_path / "nobody")
    assert "forbidden: " in error
    assert "system:serviceaccount:default:nobody" in error


def test_a_cluster_without_the_crd_gets_a_hint(cluster, tmp_path):
    with serving({}) as port:  # answers 404 without a Status, as an API server does there
        config = json.loads(cluster.output("config", "view", "--raw", "-o", "json"))
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{port}"}
        (tmp_path / "bare").write_text(json.dumps(config))
        error = refusal(cluster, "status", kubeconfig=tmp_path / "bare")
    assert (
        "the CustomResourceDefinition flamingodeployments.flamingo.dev; run: kubectl apply" in error
    )
