"""What `-o json` prints: the documented shapes."""

import json

from fakes.clusters import Cluster

from flamingo_common.wire.report import LoadReport
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.forecast import Forecast
from flamingo_operator.plugin import documents, revision_history
from flamingo_operator.plugin.spec_diff import FieldChange
from flamingo_operator.plugin.views import ServerRow

QUICK = {"minReadySeconds": 0}


def running():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    return cluster, {**cluster.body, "status": cluster.status}


def test_a_status_has_counts_conditions_and_failures():
    _, body = running()
    found = documents.status(body, [FailureCount("GPUFault", 1, "a", "m", "h", None)])
    assert found["replicas"] == {
        "desired": 2,
        "current": 2,
        "ready": 2,
        "updated": 2,
        "draining": 0,
    }
    assert found["failures"] == [
        {
            "reason": "GPUFault",
            "component": "server",
            "count": 1,
            "samplePod": "a",
            "message": "m",
            "hint": "h",
            "since": None,
        }
    ]
    assert {"Ready", "Stalled"} <= {one["type"] for one in found["conditions"]}
    assert json.loads(json.dumps(found)) == found


def test_the_shape_of_a_status_does_not_depend_on_the_operator_having_reported_one():
    _, body = running()
    bare = documents.status({**body, "status": {}})
    assert bare.keys() == documents.status(body).keys()
    assert bare["replicas"]["ready"] is None
    assert bare["plan"] is None


def test_the_load_of_a_pod_that_cannot_be_read_is_null():
    pod = {"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    placed = {"type": "PodScheduled", "status": "True"}
    pod["status"]["conditions"] = [placed]
    report = LoadReport(
        model="m",
        state="ready",
        epoch="e",
        sequence=1,
        backlog_s=1.5,
        num_running=1,
        num_waiting=0,
        num_kv_tokens=100,
        num_kv_tokens_used=25,
    )
    known, unknown = (documents.server_load(ServerRow(pod, one)) for one in (report, None))
    assert known.keys() == unknown.keys()
    assert (known["state"], known["backlogSeconds"], known["kvCacheUsage"]) == ("ready", 1.5, 0.25)
    assert (unknown["state"], unknown["backlogSeconds"]) == ("unreachable", None)


def test_a_plan_has_the_changes_and_the_forecast_of_the_status():
    cluster, body = running()
    cluster.change(paused=True, server={"image": "b:2"})
    cluster.operate()
    found = documents.plan(body, [FieldChange("spec.paused", "false", "true")], cluster.forecast())
    assert found["forecast"] == cluster.status["plan"]
    assert found["changes"] == [{"field": "spec.paused", "before": "false", "after": "true"}]
    assert documents.plan(body, [], None)["forecast"] is None
    assert documents.forecast(Forecast())["message"] == "no changes"


def test_a_history_names_what_made_each_revision():
    cluster, _ = running()
    cluster.change(server={"image": "b:2"})
    cluster.live(8)
    raw = sorted(
        (one for (kind, _), one in cluster.raw.items() if kind == "ControllerRevision"),
        key=lambda one: one["revision"],
    )
    rows = list(revision_history.history(cluster.deployment, raw, []))
    found = [documents.revision(one) for one in rows]
    assert [(one["revision"], one["state"], one["image"]) for one in found] == [
        (1, "complete", "pod:1"),
        (2, "current", "b:2"),
    ]
    assert [one["changes"] for one in found] == [[], ["spec.server.image"]]
