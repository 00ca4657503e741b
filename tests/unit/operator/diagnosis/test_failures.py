"""Diagnosis of pods that do not work; those of `tests/failed_pods` failed on a real node."""

import copy
import json
from pathlib import Path

import pytest

from flamingo_common.service.exit_status import ExitStatus
from flamingo_operator.api.gpu import Gpu, GpuClaim
from flamingo_operator.diagnosis import causes
from flamingo_operator.diagnosis.failures import (
    MAX_MESSAGE_CHARS,
    DiagnosisInputs,
    Failure,
    count_by_cause,
    diagnose,
)

PODS = json.loads((Path(__file__).parents[3] / "failed_pods" / "pods.json").read_text())
NOW_S = 1_795_557_900.0
"""Two minutes after they were created."""

REAL = {
    "aborted": ("CrashLoop", "exit status 139 (segmentation fault)"),
    "cannot-load": (
        "ModelNotFound",
        "the model or revision does not exist: nvidia/none:",
    ),
    "disk-full": ("DiskFull", "ephemeral local storage usage exceeds the total limit"),
    "image-missing": ("ImagePullError", "the registry does not respond"),
    "image-name": ("ImagePullError", "Localhost/NONE:dev is not a valid image name"),
    "image-registry": ("ImagePullError", "the registry does not respond"),
    "no-claim": ("Unschedulable", 'persistentvolumeclaim "gone" not found'),
    "no-configmap": ("ConfigMissing", 'configmap "gone" not found'),
    "no-gpu": ("WaitingForGPU", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu"),
    "no-memory": ("Unschedulable", "0/1 nodes are available: 1 Insufficient memory"),
    "no-node": ("Unschedulable", "1 node(s) didn't match Pod's node affinity/selector"),
    "no-program": ("StartError", 'exec: "/nothing": stat /nothing: no such file or directory'),
    "no-secret": ("ConfigMissing", 'secret "hf-token" not found'),
    "not-live": ("ProbeFailing", "killed: the liveness probe failed"),
    "not-started": ("ProbeFailing", "killed: the startup probe failed"),
    "out-of-memory": ("OutOfMemory", "the container exceeded its memory limit"),
    "stuck": ("StuckTerminating", "blocked by finalizers: example.com/hold"),
    "usage": (
        "InvalidConfiguration",
        "exit status 2: A flag, an environment variable or the settings file",
    ),
}


def captured(name, *, now_s=NOW_S, node=None, **status):
    """Return a captured pod, parts of its status replaced."""
    one = copy.deepcopy(PODS[name])
    one["pod"]["status"].update(status)
    return DiagnosisInputs(pod=one["pod"], events=one["events"], now_s=now_s, node=node)


def restarted(exit_code, message="", **terminated):
    """Return the container statuses of a pod whose container terminated and was restarted."""
    last = {"terminated": {"exitCode": exit_code, "message": message, **terminated}}
    return [{"name": "server", "state": {"running": {}}, "lastState": last, "restartCount": 3}]


@pytest.mark.parametrize("name", REAL)
def test_a_pod_that_failed_on_a_real_node_says_why(name):
    found = diagnose(captured(name))
    reason, message = REAL[name]
    assert found is not None
    assert found.reason == reason
    assert message in found.message
    assert found.hint.strip()
    assert found.since is not None


@pytest.mark.parametrize("name", ["no-gpu", "no-node"])
def test_the_hint_of_an_unschedulable_pod_lists_the_avoided_nodes(name):
    inputs = captured(name)
    assert "avoided" not in diagnose(inputs).hint
    inputs.pod["metadata"]["annotations"] = {"flamingo.dev/avoids": "gpu-1,gpu-2"}
    assert diagnose(inputs).hint.endswith(
        "; nodes avoided because a GPU there failed: gpu-1, gpu-2"
    )


def test_every_captured_pod_is_tested():
    assert set(PODS) == {*REAL, "fine", "not-ready"}


def test_a_pod_that_works_or_is_loading_has_not_failed():
    assert diagnose(captured("fine")) is None
    assert diagnose(captured("not-ready")) is None


def test_a_pod_that_exceeds_the_startup_deadline_has_failed():
    found = diagnose(captured("not-ready", now_s=NOW_S + 1800))
    assert found is not None
    assert found.reason == "ProbeFailing"


def test_a_pod_that_terminates_in_its_grace_period_has_not_failed():
    assert diagnose(captured("stuck", now_s=NOW_S - 110)) is None


@pytest.mark.parametrize(
    ("exit_code", "log_tail", "reason"),
    [
        (1, "Traceback (most recent call last):\nValueError: x", "CrashLoop"),
        (2, "", "InvalidConfiguration"),
        (3, "", "PortInUse"),
        (4, "", "ModelLoadFailed"),
        (4, "401 Client Error: the model is gated", "ModelAccessDenied"),
        (4, "404 Client Error: Repository Not Found", "ModelNotFound"),
        (4, "OSError: [Errno 28] No space left on device", "DiskFull"),
        (
            4,
            "model 'a/b' does not exist on https://huggingface.co; check its name",
            "ModelNotFound",
        ),
        (
            4,
            "'a/b' has no branch, tag or commit 'v9'; see https://huggingface.co/a/b",
            "ModelNotFound",
        ),
        (4, "not enough disk space: 9.1 GB are still to download", "DiskFull"),
        (5, "", "MissingDependency"),
        (6, "", "ModelAccessDenied"),
        (7, "", "HubUnreachable"),
        (9, "", "GPUOutOfMemory"),
        (10, "", "GPUFault"),
        (13, "", "UnsupportedGPU"),
        (1, "CUDA error: device-side assert; NVRM: Xid 79", "GPUFault"),
        (1, "torch.OutOfMemoryError: CUDA out of memory", "GPUOutOfMemory"),
        (137, "", "CrashLoop"),
    ],
)
def test_the_exit_status_and_the_log_tail_determine_the_cause(exit_code, log_tail, reason):
    found = diagnose(
        captured(
            "usage",
            conditions=[],
            containerStatuses=restarted(exit_code, log_tail),
            phase="Running",
        )
    )
    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize("status", set(ExitStatus) - {ExitStatus.OK})
def test_every_exit_status_of_ours_has_a_cause_a_hint_and_its_meaning(status):
    found = diagnose(
        captured("usage", conditions=[], containerStatuses=restarted(int(status)), phase="Running")
    )
    assert found is not None
    assert found.reason == causes.CAUSE_BY_EXIT[status]
    assert found.hint == causes.HINTS[found.reason]
    assert status.meaning.rstrip(".") in found.message
    assert len(found.message) < MAX_MESSAGE_CHARS


@pytest.mark.parametrize("exit_code", [2, 9, 10])
def test_an_exit_status_of_a_sidecar_means_nothing_of_ours(exit_code):
    """10 would stand for a broken GPU, whose node is avoided."""
    (crashed,) = restarted(exit_code, "bye")
    statuses = [{**crashed, "name": "proxy"}]
    found = diagnose(captured("usage", conditions=[], containerStatuses=statuses, phase="Running"))
    assert found is not None
    assert found.reason == "CrashLoop"
    assert found.message == f"container proxy: exit status {exit_code}; bye"
    assert "container proxy was added by podTemplate or by a webhook" in found.hint


def test_a_sidecar_that_exceeds_its_memory_is_named():
    (crashed,) = restarted(137, reason="OOMKilled")
    statuses = [{**crashed, "name": "proxy"}]
    found = diagnose(captured("usage", conditions=[], containerStatuses=statuses, phase="Running"))
    assert found is not None
    assert (found.reason, found.message) == (
        "CrashLoop",
        "container proxy: killed: the container exceeded its memory limit",
    )


def test_an_image_of_a_sidecar_is_not_that_of_the_spec():
    state = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    inputs = DiagnosisInputs(
        pod={
            "spec": {"containers": [{"name": "proxy", "image": "example.com/proxy:1"}]},
            "status": {"containerStatuses": [{"name": "proxy", "state": state}]},
        },
        now_s=NOW_S,
    )
    found = diagnose(inputs)
    assert found is not None
    assert found.message.startswith("example.com/proxy:1 ")
    assert "spec.server.image" not in found.hint


def test_a_restarted_container_has_failed_until_it_is_ready():
    crashed = restarted(4, "no such model")
    ready = [{"type": "Ready", "status": "True"}]
    assert diagnose(captured("usage", containerStatuses=crashed)) is not None
    assert diagnose(captured("usage", containerStatuses=crashed, conditions=ready)) is None


@pytest.mark.parametrize(
    ("runtime_message", "problem"),
    [
        ("unexpected status: 401 Unauthorized", "needs credentials"),
        ("manifest unknown", "does not exist in its registry"),
        ("x509: certificate signed by unknown authority", "certificate is not trusted"),
        ("toomanyrequests: You have reached your pull rate limit", "rate limit is reached"),
        (
            "dial tcp: lookup registry.example on 10.96.0.10:53: no such host",
            "the name of its registry cannot be resolved",
        ),
        ("something new", "cannot be pulled"),
    ],
)
def test_the_message_says_what_is_wrong_with_an_image(runtime_message, problem):
    state = {"waiting": {"reason": "ErrImagePull", "message": runtime_message}}
    inputs = DiagnosisInputs(
        pod={
            "spec": {"containers": [{"name": "server", "image": "example.com/pod:1"}]},
            "status": {"containerStatuses": [{"name": "server", "state": state}]},
        },
        now_s=NOW_S,
    )
    found = diagnose(inputs)
    assert found is not None
    assert found.message.startswith("example.com/pod:1 ")
    assert problem in found.message


def test_the_message_is_the_same_while_an_image_is_pulled_and_backed_off():
    pulling, backing_off = captured("image-missing"), captured("image-missing")
    waiting = backing_off.status["containerStatuses"][0]["state"]["waiting"]
    waiting.update(reason="ImagePullBackOff", message='Back-off pulling image "localhost/none:dev"')
    assert diagnose(pulling) == diagnose(backing_off)


def test_a_pod_on_a_lost_node():
    node = {
        "metadata": {"name": "node-1"},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    found = diagnose(captured("fine", node=node))
    assert found is not None
    assert (found.reason, found.message) == ("NodeLost", "node node-1 is not ready")


@pytest.mark.parametrize(
    ("reason", "message", "cause"),
    [
        ("Evicted", "The node was low on resource: memory.", "Evicted"),
        ("Evicted", "The node had condition: [DiskPressure].", "DiskFull"),
        ("UnexpectedAdmissionError", "Allocate failed: no healthy devices", "NotAdmitted"),
        ("OutOfnvidia.com/gpu", "Node didn't have enough resource", "NotAdmitted"),
    ],
)
def test_a_pod_that_its_node_evicted_or_rejected(reason, message, cause):
    found = diagnose(captured("fine", phase="Failed", reason=reason, message=message))
    assert found is not None
    assert found.reason == cause


def test_the_hint_names_the_requested_gpus():
    products = Gpu(products=["NVIDIA-L40S", "NVIDIA-H200"])
    found = diagnose(DiagnosisInputs(pod=PODS["no-gpu"]["pod"], now_s=NOW_S, gpu=products))
    assert found is not None
    assert found.hint.startswith("no free NVIDIA-L40S or NVIDIA-H200")


def test_a_pod_whose_resource_claims_cannot_be_allocated_waits_for_a_gpu():
    inputs = captured("no-gpu")
    (scheduled,) = inputs.pod["status"]["conditions"]
    scheduled["message"] = "0/3 nodes are available: 3 cannot allocate all claims. still not"
    claims = Gpu(resourceClaims=[GpuClaim(name="gpu", resourceClaimName="shared")])
    found = diagnose(DiagnosisInputs(pod=inputs.pod, now_s=NOW_S, gpu=claims))
    assert found.reason == "WaitingForGPU"
    assert found.hint.startswith("no free device for the resource claims")


def test_failures_are_counted_by_cause_in_a_stable_order():
    lost = Failure("NodeLost", "m", "h", "2026-01-02T00:00:00Z")
    waits = [
        (f"pod-{n}", Failure("WaitingForGPU", "m", "h", f"2026-01-0{n}T00:00:00Z"))
        for n in (3, 1, 2)
    ]
    counts = count_by_cause([*waits, ("pod-9", lost)])
    assert counts == count_by_cause([("pod-9", lost), *reversed(waits)])
    assert [(one.reason, one.count, one.sample_pod) for one in counts] == [
        ("NodeLost", 1, "pod-9"),
        ("WaitingForGPU", 3, "pod-1"),
    ]
    assert counts[1].since == "2026-01-01T00:00:00Z"


def test_every_cause_has_a_hint_and_messages_are_bounded():
    assert set(causes.HINTS) == set(causes.ORDER)
    found = diagnose(captured("usage", containerStatuses=restarted(2, "x" * 4096)))
    assert found is not None
    assert len(found.message) <= MAX_MESSAGE_CHARS


@pytest.mark.parametrize(
    "fact",
    ["back-off 1m20s", "d17aea2e-dcbc-4c08-a3ce-c20d9460e639", "10.244.0", "0x7f"],
)
def test_no_message_contains_what_changes_between_reconciliations(fact):
    texts = [found.message for name in PODS if (found := diagnose(captured(name)))]
    assert not any(fact in text for text in texts)


def test_the_page_lists_every_cause_with_its_hint():
    page = (Path(__file__).parents[4] / "docs" / "kubectl.md").read_text(encoding="utf-8")
    rows = [row.split(" | ") for row in page.splitlines() if row.startswith("| ")]
    listed = {
        row[0].removeprefix("| "): row[-1].removesuffix(" |") for row in rows if len(row) == 3
    }
    assert {cause: listed.get(cause) for cause in causes.ORDER} == dict(causes.HINTS)
