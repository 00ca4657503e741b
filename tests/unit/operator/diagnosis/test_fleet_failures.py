"""The failures of all pods of a fleet."""

import pytest
from fakes.clusters import Cluster
from fakes.operator_inputs import NOW_S

from flamingo_operator.api import names
from flamingo_operator.api.timestamps import encode
from flamingo_operator.cluster import observed
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.cluster.rejections import Rejection
from flamingo_operator.diagnosis import fleet_failures

SPEC = Cluster.of().deployment.spec
QUOTA = "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
FAILED_CREATE = {
    "reason": "FailedCreate",
    "message": f'Error creating: pods "music-preload-x" is forbidden: {QUOTA}',
    "firstTimestamp": encode(NOW_S),
}


def metadata(name, component, **more):
    return {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "creationTimestamp": encode(NOW_S),
        "labels": names.labels("music", component),
        **more,
    }


def pod(name, component, *, age_s=0.0, **status):
    created = encode(NOW_S - age_s)
    return {
        "metadata": metadata(name, component, creationTimestamp=created),
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": component, "image": "example.com/a:1"}],
        },
        "status": {"phase": "Running", **status},
    }


def routers(*raw):
    kind = observed.ROUTER_KIND
    return Observed(routers=tuple(observed.parse_controlled_pod(one, kind) for one in raw))


def batches(*raw):
    kind = observed.BATCHES_KIND
    return Observed(batches_pods=tuple(observed.parse_controlled_pod(one, kind) for one in raw))


def preloads(*raw, **fields):
    kind = observed.PRELOAD_KIND
    found = tuple(observed.parse_controlled_pod(one, kind) for one in raw)
    return Observed(preload_pods=found, **fields)


def owned(kind, **status):
    raw = {"metadata": metadata("music-x", "router"), "spec": {"replicas": 2}, "status": status}
    one = observed.parse_owned_object(raw, kind)
    return {(kind, one.ref.name): one}


def count(seen, rejections=(), num_held=0):
    return fleet_failures.count_failures(SPEC, seen, rejections, num_held, NOW_S)


def waiting(reason, message=""):
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "router", "state": state}], "phase": "Pending"}


def ended(name, code, **more):
    return {"name": name, "state": {"terminated": {"exitCode": code, **more}}}


def test_router_pods_count_by_their_own_cause_and_hint():
    broken = {"containerStatuses": [ended("router", 2)]}
    seen = routers(
        pod("r1", "router", **waiting("ImagePullBackOff", "not found")),
        pod("r2", "router", **waiting("ErrImagePull", "not found")),
        pod("r3", "router", **broken),
    )
    first, second = count(seen)
    assert (first.component, first.reason, first.count) == ("router", "ImagePullError", 2)
    assert "spec.router.image" in first.hint
    assert (second.reason, second.count, second.sample_pod) == ("InvalidConfiguration", 1, "r3")


def test_an_evicted_router_pod_counts_only_while_a_router_is_missing():
    evicted = [
        pod(f"r{number}", "router", age_s=9 - number, phase="Failed", reason="Evicted")
        for number in range(3)
    ]
    seen = routers(*evicted)
    short = owned("Deployment", replicas=2, readyReplicas=1)
    (found,) = count(Observed(routers=seen.routers, owned=short))
    assert (found.reason, found.count, found.sample_pod) == ("Evicted", 1, "r2")
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    whole = owned("Deployment", **counts)
    assert count(Observed(routers=seen.routers, owned=whole)) == []


def test_pods_of_batches_have_hints_of_their_own():
    image = "ImagePullBackOff"
    seen = batches(pod("b1", "batches", **waiting(image, "not found")))
    (found,) = count(seen)
    assert (found.component, found.reason, found.sample_pod) == ("batches", "ImagePullError", "b1")
    assert "spec.batches.image" in found.hint


def test_pods_that_the_deployment_of_batches_cannot_create_are_pods_of_batches():
    name = names.batches("music")
    failure = {"type": "ReplicaFailure", "status": "True", "message": f"forbidden: {QUOTA}"}
    status = {"conditions": [failure]}
    raw = {"metadata": metadata(name, "batches"), "spec": {"replicas": 1}, "status": status}
    one = observed.parse_owned_object(raw, "Deployment")
    (found,) = count(Observed(owned={("Deployment", name): one}))
    assert (found.component, found.reason) == ("batches", "QuotaExceeded")


def test_an_evicted_pod_of_batches_does_not_count_because_a_router_is_missing():
    seen = batches(pod("b1", "batches", phase="Failed", reason="Evicted"))
    short = owned("Deployment", replicas=2, readyReplicas=1)
    assert count(Observed(batches_pods=seen.batches_pods, owned=short)) == []


def test_pods_that_a_deployment_cannot_create_count():
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": f'pods "music-router-1" is forbidden: {QUOTA}',
        "lastTransitionTime": encode(NOW_S),
    }
    (found,) = count(Observed(owned=owned("Deployment", replicas=0, conditions=[condition])))
    assert (found.component, found.reason, found.count) == ("router", "QuotaExceeded", 2)
    assert found.message == QUOTA
    assert found.since == encode(NOW_S)
    assert found.sample_pod == ""


def test_pods_that_a_job_cannot_create_are_known_from_its_events():
    jobs = owned("Job")
    (job,) = jobs.values()
    assert [*fleet_failures.unexplained(Observed(owned=jobs), NOW_S)] == [job.ref]
    (found,) = count(Observed(owned=jobs, warnings={job.ref.uid: (FAILED_CREATE,)}))
    assert (found.component, found.reason, found.message) == ("preload", "QuotaExceeded", QUOTA)
    assert "preloadResources" in found.hint


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_a_job_that_is_over_needs_no_explanation(kind):
    jobs = owned("Job", conditions=[{"type": kind, "status": "True"}])
    assert [*fleet_failures.unexplained(Observed(owned=jobs), NOW_S)] == []


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (4, "model a/b does not exist", "ModelNotFound"),
        (4, "not enough disk space: 9.1 GB are still to download", "DiskFull"),
        (6, "", "ModelAccessDenied"),
        (7, "", "HubUnreachable"),
        (137, "", "CrashLoop"),
    ],
)
def test_a_preload_pod_says_why_it_failed_by_the_table_of_exit_statuses(code, message, reason):
    status = {"containerStatuses": [ended("preload", code, message=message)], "phase": "Failed"}
    (found,) = count(preloads(pod("p1", "preload", **status)))
    assert (found.component, found.reason) == ("preload", reason)
    assert found.hint


def test_of_the_tries_of_a_job_the_last_counts_until_it_is_complete():
    first = pod("p1", "preload", age_s=60, containerStatuses=[ended("preload", 7)], phase="Failed")
    last = pod("p2", "preload", containerStatuses=[ended("preload", 6)], phase="Failed")
    (found,) = count(preloads(last, first))
    assert (found.reason, found.sample_pod) == ("ModelAccessDenied", "p2")
    done = owned("Job", conditions=[{"type": "Complete", "status": "True"}])
    assert count(preloads(last, first, owned=done)) == []


def test_a_sidecar_that_keeps_the_job_from_ending_is_named():
    proxy = {"name": "istio-proxy", "state": {"running": {}}}
    status = {"containerStatuses": [ended("preload", 0), proxy]}
    (found,) = count(preloads(pod("p1", "preload", **status)))
    assert found.reason == "SidecarRunning"
    assert "istio-proxy" in found.message
    assert "podMetadata" in found.hint


def test_a_pod_whose_volume_is_not_mounted_is_explained_by_its_events():
    fresh = pod("r1", "router", **waiting("ContainerCreating"))
    assert [*fleet_failures.unexplained(routers(fresh), NOW_S)] == []
    stuck = pod("r1", "router", age_s=60, **waiting("ContainerCreating"))
    seen = routers(stuck)
    (ref,) = fleet_failures.unexplained(seen, NOW_S)
    event = {"reason": "FailedMount", "message": 'MountVolume.SetUp failed : secret "a" not found'}
    (found,) = count(Observed(routers=seen.routers, warnings={ref.uid: (event,)}))
    assert (found.component, found.reason) == ("router", "ConfigMissing")


def test_the_events_of_a_pod_that_waits_are_read_in_time_also_if_nothing_happens_to_it():
    seen = routers(pod("r1", "router", age_s=3, **waiting("ContainerCreating")))
    at_s = fleet_failures.next_unexplained_s(seen, NOW_S)
    assert at_s == NOW_S - 3 + fleet_failures.STUCK_AFTER_S
    assert [*fleet_failures.unexplained(seen, at_s - 0.1)] == []
    assert len([*fleet_failures.unexplained(seen, at_s)]) == 1
    assert fleet_failures.next_unexplained_s(seen, at_s) is None
    assert fleet_failures.next_unexplained_s(Observed(), NOW_S) is None


def test_a_network_that_is_not_set_up_is_explained_without_ids():
    seen = routers(pod("r1", "router", age_s=60, **waiting("ContainerCreating")))
    message = f'Failed to create pod sandbox: failed to setup network for sandbox "{"ab" * 32}"'
    event = {"reason": "FailedCreatePodSandBox", "message": message}
    (found,) = count(Observed(routers=seen.routers, warnings={"uid-r1": (event,)}))
    assert found.reason == "SandboxFailed"
    assert "abab" not in found.message


def test_server_pods_that_cannot_be_created_count_also_while_they_are_not_tried():
    rejection = Rejection("QuotaExceeded", "create Pod a: x", QUOTA, "Pod", "a", "server")
    (found,) = count(Observed(), [rejection, rejection])
    assert (found.component, found.reason, found.count) == ("server", "QuotaExceeded", 2)
    cluster = Cluster.of({"replicas": 3}, quota=1)
    for _ in range(4):
        cluster.operate()
        cluster.wait(5)
        (failure,) = cluster.status["failures"] or [{}]
    assert (failure["component"], failure["reason"], failure["count"]) == (
        "server",
        "QuotaExceeded",
        2,
    )
    assert "samplePod" not in failure


def test_the_deployment_that_cannot_be_created_counts_for_its_pods():
    rejection = Rejection("QuotaExceeded", "x", QUOTA, "Deployment", "music-router", "router")
    (found,) = count(Observed(), [rejection])
    assert (found.component, found.reason) == ("router", "QuotaExceeded")
    other = Rejection("QuotaExceeded", "x", QUOTA, "Service", "music", "router")
    assert count(Observed(), [other]) == []
