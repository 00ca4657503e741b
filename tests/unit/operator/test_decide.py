"""What the operator decides, on a simulated cluster whose moves come in any order."""

from dataclasses import replace

from fakes.clusters import RELEASE, Cluster
from fakes.effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flamingo_operator.cluster.actions import Apply, Delete, Drain, Undrain
from flamingo_operator.cluster.observed import Load
from flamingo_operator.manifests.common import Release
from flamingo_operator.rollout import rollout

QUICK = {"minReadySeconds": 0}


def server(image):
    return {"image": image}


def created(decision):
    return [
        action.manifest["metadata"]["name"]
        for action in decision.actions
        if isinstance(action, Apply) and action.manifest["kind"] == "Pod"
    ]


def removed(decision):
    return [
        action
        for action in decision.actions
        if isinstance(action, Drain) or (isinstance(action, Delete) and action.ref.kind == "Pod")
    ]


moves = st.lists(
    st.one_of(
        st.sampled_from(["operate", "operate", "schedule", "load", "end", "fail", "fault"]),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 12.0, 200.0, 4000.0])),
        st.tuples(st.just("scale"), st.integers(0, 4)),
        st.tuples(st.just("roll"), st.sampled_from(["a:1", "b:2", "c:3"])),
        st.tuples(st.just("pause"), st.booleans()),
    ),
    max_size=30,
)

rollouts = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(["Auto", "RollingUpdate", "Recreate"]),
        "maxSurge": st.integers(1, 2),
        "maxUnavailable": st.integers(0, 1),
        "minReadySeconds": st.sampled_from([0, 10]),
    }
)


def move(cluster, one):  # noqa: C901 - a table of moves
    match one:
        case "operate":
            operate_within_limits(cluster)
        case "fail":
            for name, pod in list(cluster.pods.items())[:1]:
                cluster.pods[name] = replace(pod, is_finished=True, is_ready=False)
        case "fault":
            cluster.fault(*[name for name, pod in cluster.pods.items() if pod.node][:1])
        case str():
            getattr(cluster, one)()
        case ("wait", seconds):
            cluster.wait(seconds)
        case ("scale", num):
            cluster.change(replicas=num)
        case ("roll", image):
            cluster.change(server=server(image))
        case ("pause", is_paused):
            cluster.change(rollout={**cluster.body["spec"]["rollout"], "paused": is_paused})


def operate_within_limits(cluster):
    spec = cluster.deployment.spec
    before = len(cluster.ready)
    alive_before = sum(pod.is_active for pod in cluster.pods.values())
    decision = cluster.operate()
    alive = [pod for pod in cluster.pods.values() if pod.is_active]
    assert len(alive) <= max(alive_before, spec.replicas + spec.rollout.max_surge)
    num_new = len(created(decision))
    not_ready = [pod for pod in alive if not pod.is_ready]
    assert num_new == 0 or len(not_ready) <= spec.scaling.scale_up.max_pending + alive_before
    target = decision.target
    if target is not None and num_new:
        new = [pod for pod in not_ready if pod.revision == target.revision.hash]
        assert len(new) <= spec.scaling.scale_up.max_pending
    if spec.rollout.strategy != "Recreate":
        allowed = max(spec.rollout.max_unavailable, spec.rollout.strategy == "Auto")
        assert len(cluster.ready) >= min(before, spec.replicas - allowed)
    return decision


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(num=st.integers(0, 4), rules=rollouts, moves_made=moves, spare=st.integers(0, 2))
def test_whatever_happens_limits_hold_and_the_spec_is_reached(num, rules, moves_made, spare):
    # RollingUpdate has to surge to get anywhere, so it is given the GPU for it.
    is_tight = rules["strategy"] == "Auto" or rules["maxUnavailable"] or spare
    cluster = Cluster.of(
        {"replicas": num, "rollout": rules}, num_gpus=4 + spare + (0 if is_tight else 1)
    )
    for one in moves_made:
        move(cluster, one)
    cluster.body["metadata"]["annotations"] = {"flamingo.dev/trusted-nodes": "*"}
    cluster.change(rollout={**rules, "paused": False})
    for _ in range(60):
        decision = operate_within_limits(cluster)
        if decision.actions == () and decision.step.is_complete and decision.requeue_at_s is None:
            break
        cluster.schedule()
        cluster.load()
        cluster.end()
        cluster.wait(60)
    wanted = cluster.spec_hash
    target = cluster.decide().target
    target = wanted if not target.is_rolled_back else target.revision.hash
    assert len(cluster.ready) == cluster.deployment.spec.replicas
    assert {pod.revision for pod in cluster.pods.values()} <= {target}
    assert len(cluster.pods) == len(cluster.ready)
    assert cluster.decide().actions == ()
    status = dict(cluster.status)
    cluster.operate()
    assert cluster.status == status


def test_a_second_reconciliation_does_nothing():
    cluster = Cluster.of({"replicas": 3, "rollout": QUICK})
    cluster.live(5)
    assert len(cluster.ready) == 3
    assert cluster.operate().actions == ()


def test_the_same_decision_names_the_same_pods():
    cluster = Cluster.of({"replicas": 3})
    cluster.operate()
    assert created(cluster.decide()) == created(cluster.decide())
    cluster.operate()
    assert created(cluster.decide()) == []


def test_no_more_than_max_pending_are_made_before_some_are_ready():
    cluster = Cluster.of({"replicas": 9, "rollout": QUICK})
    cluster.operate()
    assert len(created(cluster.operate())) == 4
    assert created(cluster.operate()) == []
    cluster.schedule()
    cluster.load()
    assert len(created(cluster.operate())) == 4


def test_auto_adds_a_server_first_where_a_gpu_is_free():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK}, num_gpus=3)
    cluster.live(4)
    cluster.change(server=server("b:2"))
    fewest = 2
    for _ in range(12):
        cluster.operate()
        fewest = min(fewest, len(cluster.ready))
        cluster.schedule()
        cluster.load()
        cluster.end()
        cluster.wait(5)
    assert fewest == 2
    assert cluster.reason("Progressing") == "Complete"


def test_auto_removes_a_pod_first_where_no_gpu_is_free_and_waits_only_once():
    cluster = Cluster.of({"replicas": 3, "rollout": QUICK}, num_gpus=3)
    cluster.live(4)
    cluster.change(server=server("b:2"))
    began_s, fewest = cluster.now_s, 3
    while cluster.reason("Progressing") != "Complete" or cluster.now_s == began_s:
        cluster.operate()
        fewest = min(fewest, len(cluster.ready))
        cluster.schedule()
        cluster.load()
        cluster.end()
        cluster.wait(2)
        assert cluster.now_s - began_s < 400
    assert fewest == 2
    assert cluster.now_s - began_s < 180 + 90
    assert cluster.hashes == [cluster.spec_hash]


def test_a_revision_that_never_becomes_ready_is_rolled_back():
    cluster = Cluster.of({"replicas": 2, "rollout": {**QUICK, "progressDeadlineSeconds": 100}})
    cluster.live(4)
    good = set(cluster.hashes)
    cluster.change(server=server("bad:0"))
    cluster.live(6, revisions=good)
    assert set(cluster.hashes) == good
    assert len(cluster.ready) == 2
    assert cluster.reason("Progressing") == "RolledBack"
    assert cluster.operate().actions == ()
    cluster.change(server=server("good:3"))
    cluster.live(10)
    assert cluster.reason("Progressing") == "Complete"
    assert cluster.hashes == [cluster.spec_hash]


def test_a_first_revision_that_fails_is_not_rolled_back():
    cluster = Cluster.of({"replicas": 1, "rollout": {**QUICK, "progressDeadlineSeconds": 100}})
    cluster.live(5, revisions=set())
    assert cluster.reason("Progressing") == "ProgressDeadlineExceeded"
    cluster.live(3)
    assert cluster.reason("Progressing") == "Complete"


def test_a_newer_operator_restarts_nothing_and_creates_pods_of_the_same_revision():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    cluster.release = Release("pod:2", "router:2", "batches:2", RELEASE.operator_namespace)
    # The routers follow the release; a server costs a cold start and does not.
    assert {str(action) for action in cluster.operate().actions} == {
        "update Deployment music-router"
    }
    cluster.change(replicas=3)
    decision = cluster.operate()
    pods = [one.manifest for one in decision.actions if created(decision)]
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == ["pod:1"]


def test_a_paused_rollout_keeps_old_pods_and_scales_them():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    old = set(cluster.hashes)
    cluster.change(server=server("b:2"), rollout={**QUICK, "paused": True})
    cluster.live(4)
    assert set(cluster.hashes) == old
    assert cluster.reason("Progressing") == "Paused"
    cluster.change(replicas=3)
    cluster.live(4)
    assert set(cluster.hashes) == old
    assert len(cluster.ready) == 3
    cluster.change(rollout=QUICK)
    cluster.live(8)
    assert cluster.hashes == [cluster.spec_hash]


def test_a_suspended_deployment_keeps_everything_but_its_server_pods():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    made = set(cluster.owned)
    cluster.change(suspend=True)
    cluster.live(4)
    assert cluster.pods == {}
    assert set(cluster.owned) == made
    assert cluster.reason("Ready") == "Suspended"


def test_without_reports_the_minimum_is_kept_and_a_condition_reports_it():
    scaling = {"mode": "Internal", "minReplicas": 2, "maxReplicas": 4}
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK, "scaling": scaling})
    cluster.live(4)
    assert len(cluster.ready) == 2
    assert cluster.reason("ScalingActive") == "SignalLost"


def test_a_draining_pod_that_is_needed_again_is_put_back():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    cluster.loads = {name: Load(backlog_s=100.0, num_in_flight=3) for name in cluster.pods}
    cluster.change(replicas=1)
    cluster.operate()
    assert len(cluster.ready) == 1
    cluster.change(replicas=2)
    decision = cluster.operate()
    assert [type(action) for action in decision.actions if isinstance(action, Undrain)] == [Undrain]
    assert len(cluster.ready) == 2


def test_a_pod_whose_drain_is_requested_is_replaced_first():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    asked = min(cluster.pods)
    uid = cluster.pods[asked].ref.uid
    cluster.pods[asked] = replace(cluster.pods[asked], is_drain_requested=True)
    cluster.live(6)
    assert len(cluster.ready) == 2
    assert uid not in {pod.ref.uid for pod in cluster.pods.values()}


def test_a_pod_that_fails_at_once_is_not_replaced_at_once():
    cluster = Cluster.of({"replicas": 1})
    cluster.operate()
    cluster.operate()
    (name,) = cluster.pods
    cluster.pods[name] = replace(cluster.pods[name], is_finished=True)
    decision = cluster.operate()
    assert created(decision) == []
    assert 0 < decision.requeue_at_s - cluster.now_s <= rollout.REPLACE_FAILED_S
    cluster.wait(rollout.REPLACE_FAILED_S)
    assert [str(action) for action in removed(cluster.operate())] == [f"delete Pod {name}: failed"]


def test_a_model_is_preloaded_before_the_first_pod_starts():
    claim = {"type": "PersistentVolumeClaim", "preload": True}
    claim["persistentVolumeClaim"] = {"size": "10Gi"}
    cluster = Cluster.of({"replicas": 1, "cache": claim})
    cluster.live(3)
    assert cluster.pods == {}
    assert cluster.reason("Ready") == "Preloading"
    ((job, child),) = [(key, child) for key, child in cluster.owned.items() if key[0] == "Job"]
    cluster.owned[job] = replace(child, is_failed=True)
    cluster.operate()
    assert cluster.reason("ModelCached") == "PreloadFailed"
    cluster.owned[job] = replace(child, is_complete=True)
    cluster.live(3)
    assert len(cluster.pods) == 1


def test_what_the_spec_no_longer_asks_for_is_deleted_but_never_a_claim():
    claim = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "10Gi"}}
    cluster = Cluster.of({"cache": claim})
    cluster.live(3)
    cluster.change(cache={}, router={"enabled": False})
    cluster.live(3)
    kinds = {kind for kind, _ in cluster.owned}
    assert "PersistentVolumeClaim" in kinds
    assert "Deployment" not in kinds


def test_an_object_of_another_owner_is_left_alone_and_reported():
    cluster = Cluster.of()
    cluster.live(4)
    key = ("Service", "music")
    child = cluster.owned[key]
    cluster.owned[key] = replace(child, ref=replace(child.ref, owner_uid="u-2"), digest="")
    decision = cluster.operate()
    assert decision.actions == ()
    assert cluster.reason("Accepted") == "NameConflict"


def test_the_number_of_routers_that_we_own_is_released_when_the_spec_no_longer_sets_it():
    cluster = Cluster.of({"router": {"replicas": 3}})
    cluster.operate()
    cluster.operate()
    key = ("Deployment", "music-router")
    cluster.owned[key] = replace(cluster.owned[key], owned_replicas=3)
    cluster.change(router={})
    (action,) = (one for one in cluster.decide().actions if "Deployment" in str(one))
    assert action.released == {"spec": {"replicas": 3}}
    assert "replicas" not in action.manifest["spec"]


def test_what_makes_pods_is_created_after_the_first_status():
    claim = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    cluster = Cluster.of({"cache": {**claim, "preload": True}})
    cluster.operate()
    kinds = {kind for kind, _ in cluster.owned}
    assert "Service" in kinds
    assert not kinds & {"Deployment", "Job"}
    assert cluster.reason("ModelCached") == "Preloading"
    cluster.operate()
    assert {"Deployment", "Job"} <= {kind for kind, _ in cluster.owned}
