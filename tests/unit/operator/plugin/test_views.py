"""What `kubectl flamingo` prints, without a cluster."""

import io

import pytest
from rich.console import Console

from flamingo_common.wire.report import LoadReport
from flamingo_operator.api import names
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.plugin import views

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z

LONG = "a-deployment-with-a-name-of-forty-chars-"


def shown(what, width=80):
    """Return what a terminal shows, without colours and blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(what)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def body(**status):
    return {
        "metadata": {
            "name": LONG,
            "namespace": "audio",
            "creationTimestamp": "2025-12-30T00:00:00Z",
        },
        "spec": {
            "model": {"id": "nvidia/music-flamingo-2601-hf"},
            "scaling": {"mode": "Internal", "minReplicas": 1, "maxReplicas": 8},
        },
        "status": status,
    }


def pod(name, *, ready="True", placed="True", **metadata):
    return {
        "metadata": {"name": name, "creationTimestamp": "2025-12-31T21:00:00Z", **metadata},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": ready},
                {"type": "PodScheduled", "status": placed},
            ],
        },
    }


def condition(kind, status):
    return {
        "type": kind,
        "status": status,
        "reason": "ProgressDeadlineExceeded",
        "message": "a sentence that is much longer than what is left of a line of a terminal",
        "lastTransitionTime": "2025-12-31T23:50:00Z",
    }


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-01-01T00:00:00Z", "0s"),
        ("2025-12-31T23:58:30Z", "90s"),
        ("2025-12-31T23:30:00Z", "30m"),
        ("2025-12-31T20:00:00Z", "4h"),
        ("2025-12-01T00:00:00Z", "31d"),
        ("2026-01-01T00:01:00Z", "0s"),
        (None, "-"),
    ],
)
def test_an_age_is_shown_in_its_largest_unit(moment, expected):
    assert views.age(moment, now_s=NOW_S) == expected


def test_all_views_fit_into_eighty_columns_and_lose_nothing():
    conditions = [condition("Progressing", "False"), condition("ScalingLimited", "True")]
    load = LoadReport(
        model="m", state="ready", epoch="e", sequence=1, backlog_s=1, num_running=1, num_waiting=0
    )
    failure = FailureCount("WaitingForGPU", 3, f"{LONG}-x", "m " * 100, "h " * 100, None)
    whole = body(conditions=conditions, scaling={"desiredReplicas": 4, "bound": "Pending"})
    servers = [views.ServerRow(pod(f"{LONG}-6c9f1a2b3c-0a1b2"), load, "NVIDIA-A100-SXM4-80GB-PCIe")]
    for view in (
        views.overview([whole], now_s=NOW_S, all_namespaces=True),
        views.status(whole, [pod("a")], [failure], now_s=NOW_S),
        views.top(LONG, servers, now_s=NOW_S),
    ):
        text = shown(view)
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


def test_status_shows_what_a_paused_operator_would_do():
    message = "2 server pods replaced; GPUs: 2 now, 3 at the peak, 2 at the end"
    text = shown(views.status(body(plan={"message": message}), [], [], now_s=NOW_S), 120)
    assert f"Plan         {message}" in text


def test_status_shows_the_message_of_a_failed_rollout_once():
    message = (
        "revision 0267977a4a did not become ready within spec.rollout.progressDeadlineSeconds:"
        " Unschedulable: 0/3 nodes are available; rolled back to revision 56f5f50ec2"
    )
    kinds = ("Reconciling", "Stalled", "Progressing")
    conditions = [condition(kind, "False") | {"message": message} for kind in kinds]
    conditions.append(condition("Ready", "True") | {"message": "2 of 2 server pods are ready"})
    text = shown(views.status(body(conditions=conditions), [], [], now_s=NOW_S), 300)
    assert text.count(message) == 1
    assert text.count("see Rollout") == 3
    assert "2 of 2 server pods are ready" in text


def test_status_shows_a_short_message_with_each_condition():
    message = "all pods match the spec and are ready"
    conditions = [
        condition(kind, "True") | {"message": message} for kind in ("Stalled", "Progressing")
    ]
    text = shown(views.status(body(conditions=conditions), [], [], now_s=NOW_S), 200)
    assert text.count(message) == 3


def test_status_shows_what_the_operator_reports_of_other_pods_and_of_missing_ones():
    reported = [
        {"component": "server", "reason": "CrashLoop", "count": 1, "samplePod": "music-1"},
        {"component": "server", "reason": "QuotaExceeded", "count": 2},
        {"component": "router", "reason": "ImagePullError", "count": 1, "samplePod": "r-1"},
    ]
    whole = body(failures=[{**one, "message": "m", "hint": "h"} for one in reported])
    found = views.reported_failures(whole)
    assert [one.reason for one in found] == ["QuotaExceeded", "ImagePullError"]
    text = shown(views.status(whole, [], found, now_s=NOW_S))
    assert "QuotaExceeded: 2 server pods not created" in text
    assert "ImagePullError: 1 router pod, for example r-1" in text


def test_status_counts_the_pods_and_shows_the_bound():
    pods = [
        pod("a"),
        pod("b", ready="False"),
        pod("c", ready="False", placed="False"),
        pod("d", deletionTimestamp="2025-12-31T23:59:00Z"),
        pod("e", annotations={names.DRAIN_ANNOTATION: "true"}),
    ]
    text = shown(
        views.status(
            body(scaling={"desiredReplicas": 4, "bound": "Pending"}), pods, [], now_s=NOW_S
        ),
        width=200,
    )
    assert "1 of 4 ready, 1 unscheduled, 1 not ready, 2 draining" in text
    assert "4 replicas desired (min 1, max 8), limited by Pending" in text


def test_status_shows_what_a_paused_deployment_waits_for():
    whole = body(plan={"message": "3 server pods replaced"})
    whole["spec"]["paused"] = True
    assert "Paused       would do: 3 server pods replaced" in shown(
        views.status(whole, [], [], now_s=NOW_S), width=200
    )


def test_status_shows_the_last_change_capacity_cold_starts_and_cost():
    change = {"time": "2025-12-31T23:50:00Z", "fromReplicas": 2, "toReplicas": 4}
    scaling = {
        "desiredReplicas": 4,
        "history": [{**change, "message": "queued work requires 4.0 replicas"}],
    }
    phases = {"scheduleSeconds": 4, "imagePullSeconds": 0, "loadSeconds": 80, "warmupSeconds": 15}
    figures = {
        "scaling": scaling,
        "capacity": {"audioSecondsPerSecond": "12"},
        "coldStart": {"numStarts": 9, "p50Seconds": 142, "p95Seconds": 230, "phases": phases},
        "cost": {"perHour": "7.60", "perAudioHour": "0.1583", "currency": "USD"},
    }
    text = shown(views.status(body(**figures), [], [], now_s=NOW_S), width=200)
    for expected in (
        "10m ago, from 2 to 4: queued work requires 4.0 replicas",
        "12 s of audio per second per pod",
        "p50 142 s, p95 230 s, 9 pods (load 80 s, warm-up 15 s, schedule 4 s)",
        "7.60 USD per hour, 0.1583 USD per hour of audio at full utilization",
    ):
        assert expected in text


def test_status_shows_each_address_outside_of_the_cluster_once():
    given = [
        {"kind": "Service", "value": "192.0.2.7"},
        {"kind": "Ingress", "value": "a.example.com"},
        {"kind": "HTTPRoute", "value": "a.example.com"},
    ]
    text = shown(views.status(body(addresses=given), [], [], now_s=NOW_S))
    assert " 192.0.2.7, a.example.com\n" in text
    assert "Addresses" not in shown(views.status(body(), [], [], now_s=NOW_S))


def test_status_shows_which_nodes_are_avoided_and_until_when():
    node = {"node": "gpu-1", "reason": "GPUFault", "message": "Xid 79"}
    text = shown(
        views.status(
            body(avoidedNodes=[{**node, "since": "2025-12-31T23:50:00Z"}]), [], [], now_s=NOW_S
        ),
        width=120,
    )
    assert "gpu-1 for 10m: GPUFault" in text
    assert "Xid 79" in text
    assert f"for one day, or until it is listed in the annotation {names.TRUSTED_NODES}" in text


def test_without_a_status_the_operator_may_not_be_running():
    text = shown(views.status(body(), [], [], now_s=NOW_S))
    assert ": Unknown" in text
    assert "No status reported yet; is the operator running?" in text


def test_top_distinguishes_unreachable_unscheduled_and_draining_pods():
    servers = [
        views.ServerRow(pod("f-a")),
        views.ServerRow(pod("f-b", placed="False")),
        views.ServerRow(pod("f-c", deletionTimestamp="2025-12-31T23:59:00Z")),
    ]
    rows = {row.split()[0]: row for row in shown(views.top("f", servers, now_s=NOW_S)).splitlines()}
    assert "unreachable" in rows["a"]
    assert "unscheduled" in rows["b"]
    assert "draining" in rows["c"]
