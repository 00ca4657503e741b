"""Why a pod does not work: the pods of `tests/failed_pods` failed on a real node."""

import copy
import json
from pathlib import Path

import pytest

from flamingo_common.service.exit_status import ExitStatus
from flamingo_operator.api.server import Gpu
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
"""Two minutes after they were made."""

REAL = {
    "aborted": ("CrashLoop", "exit status 139 (segmentation fault)"),
    "cannot-load": ("ModelNotFound", "no such model or revision: nvidia/none: no such model"),
    "disk-full": ("DiskFull", "ephemeral local storage usage exceeds the total limit"),
    "image-missing": ("ImagePullError", "its registry does not answer"),
    "image-name": ("ImagePullError", "Localhost/NONE:dev is no valid name"),
    "image-registry": ("ImagePullError", "its registry does not answer"),
    "no-claim": ("Unschedulable", 'persistentvolumeclaim "gone" not found'),
    "no-configmap": ("ConfigMissing", 'configmap "gone" not found'),
    "no-gpu": ("WaitingForGPU", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu"),
    "no-memory": ("Unschedulable", "0/1 nodes are available: 1 Insufficient memory"),
    "no-node": ("Unschedulable", "1 node(s) didn't match Pod's node affinity/selector"),
    "no-program": ("StartError", 'exec: "/nothing": stat /nothing: no such file or directory'),
    "no-secret": ("ConfigMissing", 'secret "hf-token" not found'),
    "not-live": ("ProbeFailing", "killed: its liveness probe failed"),
    "not-started": ("ProbeFailing", "killed: its startup probe failed"),
    "out-of-memory": ("OutOfMemory", "it used more memory than its limit"),
    "stuck": ("StuckTerminating", "finalizers hold it: example.com/hold"),
    "usage": ("BadSettings", "exit status 2: A flag, an environment variable or the settings file"),
}


def seen(name, *, now_s=NOW_S, node=None, **status):
    """Return a captured pod, parts of its status replaced."""
    one = copy.deepcopy(PODS[name])
    one["pod"]["status"].update(status)
    return DiagnosisInputs(pod=one["pod"], events=one["events"], now_s=now_s, node=node)


def ended(exit_code, message="", **terminated):
    """Return the container's status of a pod whose container ended and is started again."""
    last = {"terminated": {"exitCode": exit_code, "message": message, **terminated}}
    return [{"name": "server", "state": {"running": {}}, "lastState": last, "restartCount": 3}]


@pytest.mark.parametrize("name", REAL)
def test_a_pod_that_failed_on_a_real_node_says_why(name):
    found = diagnose(seen(name))
    reason, message = REAL[name]
    assert found is not None
    assert found.reason == reason
    assert message in found.message
    assert found.hint.strip()
    assert found.since is not None


@pytest.mark.parametrize("name", ["no-gpu", "no-node"])
def test_who_finds_no_node_is_told_which_are_avoided(name):
    sight = seen(name)
    assert "avoided" not in diagnose(sight).hint
    sight.pod["metadata"]["annotations"] = {"flamingo.dev/avoids": "gpu-1,gpu-2"}
    assert diagnose(sight).hint.endswith("; avoided, because a GPU there failed: gpu-1, gpu-2")


def test_all_that_was_captured_is_judged():
    assert set(PODS) == {*REAL, "fine", "not-ready"}


def test_a_pod_that_works_or_is_loading_has_not_failed():
    assert diagnose(seen("fine")) is None
    assert diagnose(seen("not-ready")) is None


def test_a_pod_that_loads_for_longer_than_it_may_has_failed():
    found = diagnose(seen("not-ready", now_s=NOW_S + 1800))
    assert found is not None
    assert found.reason == "ProbeFailing"


def test_a_pod_that_leaves_in_its_grace_period_has_not_failed():
    assert diagnose(seen("stuck", now_s=NOW_S - 110)) is None


@pytest.mark.parametrize(
    ("exit_code", "words", "reason"),
    [
        (1, "Traceback (most recent call last):\nValueError: x", "CrashLoop"),
        (2, "", "BadSettings"),
        (3, "", "PortBusy"),
        (4, "", "CannotLoad"),
        (4, "401 Client Error: the model is gated", "TokenRefused"),
        (4, "404 Client Error: Repository Not Found", "ModelNotFound"),
        (4, "OSError: [Errno 28] No space left on device", "DiskFull"),
        (5, "", "NotInstalled"),
        (6, "", "TokenRefused"),
        (7, "", "ModelHostUnreachable"),
        (9, "", "GPUOutOfMemory"),
        (10, "", "GPUFault"),
        (1, "CUDA error: device-side assert; NVRM: Xid 79", "GPUFault"),
        (1, "torch.OutOfMemoryError: CUDA out of memory", "GPUOutOfMemory"),
        (137, "", "CrashLoop"),
    ],
)
def test_an_exit_status_and_the_last_words_tell_the_cause(exit_code, words, reason):
    found = diagnose(
        seen("usage", conditions=[], containerStatuses=ended(exit_code, words), phase="Running")
    )
    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize("status", set(ExitStatus) - {ExitStatus.OK})
def test_every_exit_status_of_ours_has_a_cause_and_a_hint_and_says_what_the_table_says(status):
    found = diagnose(
        seen("usage", conditions=[], containerStatuses=ended(int(status)), phase="Running")
    )
    assert found is not None
    assert found.reason == causes.CAUSE_BY_EXIT[status]
    assert found.hint == causes.HINTS[found.reason]
    assert status.meaning.rstrip(".") in found.message
    assert len(found.message) < MAX_MESSAGE_CHARS


def test_a_container_that_runs_again_is_still_told_until_it_is_ready():
    crashed = ended(4, "no such model")
    ready = [{"type": "Ready", "status": "True"}]
    assert diagnose(seen("usage", containerStatuses=crashed)) is not None
    assert diagnose(seen("usage", containerStatuses=crashed, conditions=ready)) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("unexpected status: 401 Unauthorized", "needs credentials"),
        ("manifest unknown", "does not exist in its registry"),
        ("x509: certificate signed by unknown authority", "certificate is unknown"),
        ("toomanyrequests: You have reached your pull rate limit", "too many pulls"),
        ("something new", "cannot be pulled"),
    ],
)
def test_what_is_wrong_with_an_image_is_said(words, says):
    state = {"waiting": {"reason": "ErrImagePull", "message": words}}
    sight = DiagnosisInputs(
        pod={
            "spec": {"containers": [{"name": "server", "image": "example.com/pod:1"}]},
            "status": {"containerStatuses": [{"name": "server", "state": state}]},
        },
        now_s=NOW_S,
    )
    found = diagnose(sight)
    assert found is not None
    assert found.message.startswith("example.com/pod:1 ")
    assert says in found.message


def test_the_text_is_the_same_whether_an_image_is_pulled_or_waited_for():
    pulling, backing_off = seen("image-missing"), seen("image-missing")
    waiting = backing_off.status["containerStatuses"][0]["state"]["waiting"]
    waiting.update(reason="ImagePullBackOff", message='Back-off pulling image "localhost/none:dev"')
    assert diagnose(pulling) == diagnose(backing_off)


def test_a_pod_of_a_lost_node_says_so():
    node = {
        "metadata": {"name": "node-1"},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    found = diagnose(seen("fine", node=node))
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
def test_a_pod_that_its_node_refused_says_why(reason, message, cause):
    found = diagnose(seen("fine", phase="Failed", reason=reason, message=message))
    assert found is not None
    assert found.reason == cause


def test_the_hint_names_the_gpus_that_were_asked_for():
    products = Gpu(products=["NVIDIA-L40S", "NVIDIA-H200"])
    found = diagnose(DiagnosisInputs(pod=PODS["no-gpu"]["pod"], now_s=NOW_S, gpu=products))
    assert found is not None
    assert found.hint.startswith("no free NVIDIA-L40S or NVIDIA-H200")


def test_failures_are_counted_by_cause_in_an_order_that_does_not_change():
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
    found = diagnose(seen("usage", containerStatuses=ended(2, "x" * 4096)))
    assert found is not None
    assert len(found.message) <= MAX_MESSAGE_CHARS


@pytest.mark.parametrize(
    "fact",
    ["back-off 1m20s", "d17aea2e-dcbc-4c08-a3ce-c20d9460e639", "10.244.0", "0x7f"],
)
def test_no_text_holds_what_changes_from_look_to_look(fact):
    texts = [found.message for name in PODS if (found := diagnose(seen(name)))]
    assert not any(fact in text for text in texts)


def test_the_page_about_causes_lists_each_with_its_hint():
    page = (Path(__file__).parents[4] / "docs" / "kubectl.md").read_text(encoding="utf-8")
    rows = [row.split(" | ") for row in page.splitlines() if row.startswith("| ")]
    listed = {
        row[0].removeprefix("| "): row[-1].removesuffix(" |") for row in rows if len(row) == 3
    }
    assert {cause: listed.get(cause) for cause in causes.ORDER} == dict(causes.HINTS)
