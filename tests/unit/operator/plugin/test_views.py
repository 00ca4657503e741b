"""What `kubectl flamingo` shows, without a cluster."""

import io
import json

import pytest
from rich.console import Console

from flamingo_common.wire.report import LoadReport
from flamingo_operator.api import names
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.plugin import log_lines, spec_diff, views

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
    ("moment", "said"),
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
def test_an_age_is_told_in_its_largest_unit(moment, said):
    assert views.age(moment, now_s=NOW_S) == said


def test_all_views_fit_into_eighty_columns_and_lose_nothing():
    conditions = [condition("Progressing", "False"), condition("ScalingLimited", "True")]
    load = LoadReport(
        model="m", state="ready", epoch="e", sequence=1, backlog_s=1, num_running=1, num_waiting=0
    )
    failure = FailureCount("WaitingForGPU", 3, f"{LONG}-x", "m " * 100, "h " * 100, None)
    whole = body(conditions=conditions, scaling={"desiredReplicas": 4, "bound": "Pending"})
    servers = [views.ServerRow(pod(f"{LONG}-6c9f1a2b3c-0a1b2"), load, "NVIDIA-A100-SXM4-80GB-PCIe")]
    change = spec_diff.FieldChange("scaling.objective.queueWaitSeconds", "60", json.dumps("x" * 99))
    for view in (
        views.overview([whole], now_s=NOW_S, all_namespaces=True),
        views.status(whole, [pod("a")], [failure], now_s=NOW_S),
        views.top(LONG, servers, now_s=NOW_S),
        views.plan(LONG, [change], ["no changes"], [f"drain Pod {LONG}-1"] * 30),
    ):
        text = shown(view)
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


def test_status_counts_the_servers_and_says_what_keeps_the_number():
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


def test_status_tells_the_last_change_capacity_starts_and_cost():
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
    for said in (
        "10m ago, from 2 to 4: queued work requires 4.0 replicas",
        "12 s of audio per second per pod",
        "p50 142 s, p95 230 s, 9 pods (load 80 s, warm-up 15 s, schedule 4 s)",
        "7.60 USD per hour, 0.1583 USD per hour of audio at full use",
    ):
        assert said in text


def test_status_says_which_nodes_are_avoided_and_until_when():
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


def test_without_a_status_one_is_asked_whether_the_operator_runs():
    text = shown(views.status(body(), [], [], now_s=NOW_S))
    assert ": Unknown" in text
    assert "No status reported yet; is the operator running?" in text


def test_top_tells_servers_that_are_silent_from_those_without_a_node():
    servers = [
        views.ServerRow(pod("f-a")),
        views.ServerRow(pod("f-b", placed="False")),
        views.ServerRow(pod("f-c", deletionTimestamp="2025-12-31T23:59:00Z")),
    ]
    rows = {row.split()[0]: row for row in shown(views.top("f", servers, now_s=NOW_S)).splitlines()}
    assert "unreachable" in rows["a"]
    assert "unscheduled" in rows["b"]
    assert "draining" in rows["c"]


def test_changes_are_told_field_by_field():
    before = {"replicas": 1, "gpu": {"products": ["A"]}, "pdb": {"minAvailable": 1}}
    after = {"replicas": 2, "gpu": {"products": ["A", "B"]}}
    assert [
        (one.path, one.before, one.after) for one in spec_diff.field_changes(before, after)
    ] == [
        ("gpu.products", '["A"]', '["A", "B"]'),
        ("pdb", '{"minAvailable": 1}', ""),
        ("replicas", "1", "2"),
    ]
    assert spec_diff.field_changes(after, after) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, {"replicas": 3}, ["creates a fleet of 3 GPUs"]),
        ({"replicas": 1}, {"replicas": 1}, ["no changes"]),
        ({"replicas": 1}, {"replicas": 4}, ["replaces no server pods", "GPUs: 1 → 4"]),
        ({"replicas": 2}, {"suspend": True}, ["replaces no server pods", "GPUs: 2 → 0"]),
        ({"cache": {"preload": False}}, {"cache": {"preload": True}}, ["replaces no server pods"]),
        (
            {},
            {"topologySpreadConstraints": [{"maxSkew": 1}]},
            ["replaces all server pods (rollout strategy Auto): topologySpreadConstraints changes"],
        ),
        (
            {"server": {"args": []}},
            {"server": {"args": ["-x"]}, "rollout": {"strategy": "Recreate"}},
            ["replaces all server pods (rollout strategy Recreate): server changes"],
        ),
        (
            {"replicas": 1},
            {"scaling": {"mode": "Internal", "minReplicas": 0, "maxReplicas": 8}},
            ["replaces no server pods", "GPUs: 1 → 0 to 8"],
        ),
    ],
)
def test_what_a_change_does_is_told(before, after, said):
    found = spec_diff.field_changes(before, after) if before is not None else []
    assert list(spec_diff.describe_effects(before, after, found)) == said


def line(second, event, **facts):
    clock = f"2026-01-01T00:00:{second:02}.123Z"
    return json.dumps({"timestamp": clock, "level": "info", "event": event, **facts})


def test_a_log_line_is_readable():
    text = log_lines.format_line(line(7, "model.loaded", service="pod", took_s=3.5, model="a/b"))
    assert text.plain == "00:00:07 info    model.loaded took_s=3.5 model=a/b"


def test_what_is_no_log_line_stays_as_it_is():
    for odd in ("Traceback (most recent call last):", "[1]", "{}", "", '{"event"'):
        assert log_lines.format_line(odd).plain == odd


def test_an_exception_stands_below_its_line():
    text = log_lines.format_line(line(1, "crashed", exception="Traceback\nValueError"))
    assert text.plain.splitlines()[1:] == ["Traceback", "ValueError"]


def test_logs_of_several_pods_are_merged_by_time():
    logs = {
        "a": "\n".join([line(1, "one"), "a line without a time", line(5, "five")]),
        "b": line(3, "three"),
    }
    told = [(name, text.plain.split()[-1]) for name, text in log_lines.merge_by_time(logs)]
    assert told == [("a", "one"), ("a", "time"), ("b", "three"), ("a", "five")]
