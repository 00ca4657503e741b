"""From what routers say to what the status says: the number, why, capacity, starts and cost."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from control_plane.deployments import INTERNAL, deployment
from fakes.clusters import RELEASE, Cluster
from fakes.scripted_routers import FakeRouter

from flamingo_common.wire.report import StartReport
from flamingo_operator.api import names, spec
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.cluster.observed import ObjectRef, Pod, parse_node
from flamingo_operator.cluster.store import Store
from flamingo_operator.manifests import router
from flamingo_operator.plugin import forecast
from flamingo_operator.polling.pod_load_client import PodLoadClient
from flamingo_operator.polling.router_load_client import RouterLoadClient
from flamingo_operator.polling.router_poller import EXTERNAL_MODE_ROUNDS, RouterPoller
from flamingo_operator.reporting import scaling
from flamingo_operator.reporting.conditions import ConditionInputs, compute_conditions
from flamingo_operator.scaling import autoscale
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.demand import AudioDemand, Demand
from flamingo_operator.scaling.replicas import (
    DemandAndCapacity,
    DesiredReplicas,
    ScalingState,
    desired_replicas,
    from_status,
)
from flamingo_operator.telemetry.metrics import Metrics

NOW_S = 1_800_000_000.0
KEY = "default/music"


def parsed(**more):
    return spec.parse(deployment({"scaling": {**INTERNAL, **more.pop("scaling", {})}, **more}))


def asked(servers):
    """Return a demand that takes so many servers: of 75 per cent each."""
    flow = AudioDemand(work_s=0.75 * servers)
    return Demand(flow, AudioDemand(), AudioDemand(), 0.0, is_idle=not servers, is_partial=False)


def steered(demands, given=None, *, state=None, every_s=5.0):
    """Yield what is desired at each look."""
    state = state or ScalingState()
    for look, demand in enumerate(demands):
        num = state.autoscaler.desired if state.autoscaler else 0
        signals = DemandAndCapacity(demand)
        found = desired_replicas(
            (given or parsed()).spec, signals, state, PodCounts(num), NOW_S + look * every_s
        )
        state = found.state
        yield found


def last(found):
    *_, one = found
    return one


def status_of(desired):
    told = scaling.scaling_status(desired).model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"scaling": told}


def test_noise_is_not_told():
    noisy = [asked(2.5 * share) for share in (1.0, 1.06, 0.95, 1.02, 0.97, 1.08) * 10]
    told = {one.reported.message for one in list(steered(noisy))[2:]}
    assert told == {"5-minute arrival rate requires 2.5 replicas"}


def test_a_demand_that_really_changes_is_told_though_the_number_stays():
    told = [one.reported.message for one in steered([asked(2.9)] * 5 + [asked(2.2)] * 5)]
    assert "2.9" in told[4]
    assert "2.2" in told[-1]


def test_a_number_that_changes_is_told_at_once():
    first, then = list(steered([asked(1.0), asked(3.0)], every_s=1.0))
    assert (first.num, then.num) == (1, 3)
    assert (then.reported.reason, then.reported.bound) == ("ArrivalRate", "None")
    assert [(one.before, one.after) for one in then.history] == [(1, 3)]


def test_a_successor_goes_on_from_what_the_status_says_and_has_nothing_to_write():
    before = last(steered([asked(1.0), asked(3.0), asked(3.0)]))
    looks = [None, None, asked(3.1), asked(2.9), asked(3.0)]
    for found in steered(looks, state=from_status(status_of(before))):
        assert status_of(found) == status_of(before)


def test_a_signal_that_is_gone_for_a_moment_is_no_news_and_then_it_is():
    found = list(steered([asked(2.0)] * 3 + [None] * 20))
    assert {one.num for one in found[2:]} == {2}
    reasons = [one.reported.reason for one in found[3:]]
    assert (reasons[5], reasons[-1]) == ("ArrivalRate", "SignalLost")


def test_in_mode_external_the_number_is_the_user_s_and_a_change_of_mode_goes_on_from_it():
    external = spec.parse(deployment({"replicas": 3})).spec
    found = desired_replicas(
        external, DemandAndCapacity(asked(9)), ScalingState(), PodCounts(3), NOW_S
    )
    assert (found.num, found.reported) == (3, None)
    assert last(steered([asked(3.0)], state=found.state)).num == 3


def test_a_schedule_says_when_to_look_again():
    office = {"name": "office", "start": "08:00", "end": "20:00", "minReplicas": 2}
    found = last(steered([asked(0)], parsed(scaling={"schedules": [office]})))
    assert found.requeue_at_s is not None
    assert NOW_S < found.requeue_at_s <= NOW_S + 24 * 3600


def capacity_of(rates, state=None):
    state = state or ScalingState(autoscale.AutoscalerState(1))
    signals = DemandAndCapacity(asked(1.0), rates=rates)
    desired = desired_replicas(parsed().spec, signals, state, PodCounts(1), NOW_S)
    told = scaling.capacity_status(desired)
    return desired, told.model_dump(by_alias=True)


def test_capacity_is_told_by_product_in_two_digits_and_held_while_it_is_as_good():
    desired, told = capacity_of({"NVIDIA-L40S": 12.34, "NVIDIA-H100": 40.4})
    assert told == {
        "audioSecondsPerSecond": "12",
        "perProduct": [
            {"product": "NVIDIA-H100", "audioSecondsPerSecond": "40"},
            {"product": "NVIDIA-L40S", "audioSecondsPerSecond": "12"},
        ],
    }
    noisy = {"NVIDIA-L40S": 13.1, "NVIDIA-H100": 38.0}
    assert capacity_of(noisy, desired.state)[1] == told
    assert capacity_of({**noisy, "NVIDIA-L40S": 20.0}, desired.state)[1] != told


def pod(name, **fields):
    ref = ObjectRef("Pod", "default", name, f"uid-{name}", 1, "music", "u-1")
    return Pod(ref, "r", NOW_S, **fields)


def test_starts_are_summed_up_and_a_late_recovery_is_no_start():
    def started(load_s):
        return ColdStartPhases(schedule_s=2, image_pull_s=10, load_s=load_s)

    seen = replace(
        Cluster.of().observed,
        pods=(
            pod("a", start=started(60)),
            pod("b", start=started(80)),
            pod("c", start=started(90_000)),
            pod("d"),
        ),
    )
    told = starts_of(seen)
    phases = {"scheduleSeconds": 2, "imagePullSeconds": 10, "loadSeconds": 70}
    assert told == {"numStarts": 2, "p50Seconds": 72, "p95Seconds": 92, "phases": phases}
    assert scaling.cold_start_status(parsed().spec, Cluster.of().observed, {}) is None
    # Who begins has not asked the servers yet: what they told before stands.
    parts = phases | {"fetchSeconds": 20, "loadSeconds": 40, "warmupSeconds": 10}
    before = told | {"phases": parts}
    assert starts_of(seen, before) == before
    assert starts_of(seen, before | {"numStarts": 3}) == told


def starts_of(seen, old=None):
    told = scaling.cold_start_status(parsed().spec, seen, old or {})
    return told.model_dump(by_alias=True, exclude_none=True)


def test_a_server_tells_the_parts_of_its_start_once():
    store = Store(changed=lambda key: None)
    store.put(started_pod("music-r-0", "10.0.0.1"), "Pod")
    store.put_start_reports(KEY, {"10.0.0.1": StartReport(fetch_s=20, load_s=30, warm_s=4)})
    store.put_start_reports(KEY, {"10.0.0.1": StartReport(fetch_s=0, load_s=0, warm_s=0)})
    (seen,) = store.observed("default/music", "u-1").pods
    assert (seen.start.fetch_s, seen.start.warm_s, seen.start.is_split) == (20, 4, True)


def test_cost_counts_the_servers_that_hold_a_gpu():
    given = parsed(cost={"gpuPerHour": "1.90"}).spec
    pods = (pod("a", node="n"), pod("b", node="n", is_terminating=True), pod("c"))
    seen = replace(Cluster.of().observed, pods=pods)
    measured, _ = capacity_of({"unknown": 12.0})
    told = scaling.cost_status(given, seen, measured).model_dump(by_alias=True)
    assert told == {"perHour": "3.80", "perAudioHour": "0.1583", "currency": "USD"}
    assert scaling.cost_status(given, seen, DesiredReplicas(1)).per_audio_hour is None
    assert scaling.cost_status(parsed().spec, seen, measured) is None


@pytest.mark.parametrize(
    ("demands", "active", "limited"),
    [
        ([asked(2.0)] * 2, "Internal", "DesiredWithinRange"),
        ([asked(9.0)] * 5, "Internal", "TooManyReplicas"),
        ([None] * 20, "SignalLost", "DesiredWithinRange"),
    ],
)
def test_conditions_say_whether_scaling_works_and_what_limits_it(demands, active, limited):
    cluster = Cluster.of({"scaling": INTERNAL})
    decision = replace(cluster.decide(), desired=last(steered(demands)))
    from_conditions = {
        one.type: one.reason
        for one in compute_conditions(
            ConditionInputs(cluster.deployment, cluster.observed, decision, [], [])
        )
    }
    assert from_conditions["ScalingActive"] == active
    assert from_conditions["ScalingLimited"] == limited


def test_what_was_refused_comes_before_what_is_missing_because_of_it():
    cluster = Cluster.of()
    sight = ConditionInputs(cluster.deployment, cluster.observed, cluster.decide(), [], [])
    ready = next(compute_conditions(sight))
    assert (ready.type, ready.reason) == ("Ready", "RouterNotReady")
    refused = next(compute_conditions(replace(sight, refusals=["no such priority class"])))
    assert (refused.type, refused.status, refused.reason) == ("Ready", "False", "NotAccepted")


def router_pod(name, ip, *, ready="True", version="1"):
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": version,
            "labels": names.labels("music", "router"),
        },
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
    }


def server_pod(name, ip):
    metadata = {**router_pod(name, ip)["metadata"], "labels": names.labels("music", "server")}
    owner = {"kind": names.KIND, "uid": "u-1", "controller": True, "name": "music"}
    metadata |= {"creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [owner]}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
    status = {"podIP": ip, "conditions": [ready]}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node-1", "containers": []},
        "status": status,
    }


def started_pod(name, ip):
    raw = server_pod(name, ip)
    placed = {"type": "PodScheduled", "lastTransitionTime": "2026-01-01T00:00:02Z"}
    raw["status"]["conditions"].append({**placed, "status": "True"})
    running = {"running": {"startedAt": "2026-01-01T00:00:04Z"}}
    raw["status"]["containerStatuses"] = [{"name": "server", "state": running, "restartCount": 0}]
    return raw


def load_report(number):
    timing = {"number": number, "route": "/v1/chat", "num_windows": 40}
    timing |= {"num_tokens": 9, "compute_s": 100.0}
    report = {"model": "m", "state": "ready", "epoch": "e", "sequence": 1, "backlog_s": 2.0}
    return {**report, "num_running": 0, "num_waiting": 0, "timings": [timing]}


def test_routers_are_asked_with_the_key_and_what_they_pass_on_teaches_the_capacity():
    fakes = [FakeRouter("127.90.0.1"), FakeRouter("127.90.0.2")]
    told = []

    async def scenario():
        async with contextlib.aclosing(RouterLoadClient("k-1")) as load:
            store = Store(changed=lambda key: None)
            store.put_resource(
                deployment({"scaling": INTERNAL})
                | {
                    "metadata": {"name": "music", "namespace": "default", "uid": "u-1"}
                    | {"resourceVersion": "1"}
                }
            )
            raw = {"metadata": {"name": "node-1", "labels": {names.PRODUCT_LABEL: "L40S"}}}
            store.put_node(parse_node({**raw, "spec": {}, "status": {}}))
            for number, fake in enumerate(fakes):
                store.put(router_pod(f"r{number}", fake.address), "Router")
            store.put(router_pod("r9", "127.90.0.9", ready="False"), "Router")
            store.put(server_pod("s1", "10.0.0.1"), "Pod")
            poller = RouterPoller(store, load, Metrics(), told.append, 5.0)
            await poller.poll_once()
            resource, seen = store.resource(KEY), store.observed(KEY, "u-1")
            return poller.demand_and_capacity(KEY, resource, seen, poller.now())

    with contextlib.ExitStack() as stack:
        for fake in fakes:
            fake.asked_for(1.5)
            endpoint = {"address": "http://10.0.0.1:8000", "backlog_s": 2.0}
            fake.body["endpoints"] = [{**endpoint, "load": load_report(3)}]
            stack.enter_context(fake.running())
        found = asyncio.run(scenario())
    assert told == [KEY]
    assert [fake.keys for fake in fakes] == [{"Bearer k-1"}] * 2
    assert found.demand.arriving.work_s == 3.0
    assert found.demand.backlog_s == 2.0
    assert not found.demand.is_partial
    # 1200 s of audio in 100 s of computing, counted once, beside the prior's 600 in 10.
    assert found.rates == {"L40S": pytest.approx(1800 / 110)}
    assert found.audio_s_per_s == pytest.approx(1800 / 110)


def test_in_mode_external_routers_are_asked_now_and_then_and_teach_the_same():
    start = {"fetch_s": 20.0, "load_s": 30.0, "warm_s": 4.0}
    endpoint = {"address": "http://10.0.0.1:8000", "load": load_report(3) | {"start": start}}
    fake, told = FakeRouter("127.90.0.7", body={"endpoints": [endpoint]}), []

    async def scenario():
        async with contextlib.aclosing(RouterLoadClient()) as load:
            store = Store(changed=lambda key: None)
            metadata = {"name": "music", "namespace": "default", "uid": "u-1"}
            body = deployment({"replicas": 1})
            store.put_resource(body | {"metadata": metadata | {"resourceVersion": "1"}})
            store.put(started_pod("s1", "10.0.0.1"), "Pod")
            poller = RouterPoller(store, load, Metrics(), told.append, 5.0)
            for _ in range(EXTERNAL_MODE_ROUNDS):
                await poller.poll_once()
            nobody_was_asked = told == []
            store.put(router_pod("r1", fake.address), "Router")
            for _ in range(EXTERNAL_MODE_ROUNDS):
                await poller.poll_once()
            resource, seen = store.resource(KEY), store.observed(KEY, "u-1")
            signals = poller.demand_and_capacity(KEY, resource, seen, poller.now())
            external = desired_replicas(
                spec.parse(body).spec, signals, ScalingState(), PodCounts(1, 0), NOW_S
            )
            return nobody_was_asked, seen.pods[0].start, external

    with fake.running():
        nobody_was_asked, start_seen, external = asyncio.run(scenario())
    assert nobody_was_asked
    assert (told, fake.num_asked) == ([KEY], 1)
    assert (start_seen.fetch_s, start_seen.load_s, start_seen.warm_s) == (20.0, 32.0, 4.0)
    assert external.num == 1
    assert scaling.capacity_status(external).audio_seconds_per_second == "16"


def test_pods_are_asked_with_the_same_key():
    fake = FakeRouter("127.90.0.6", body=load_report(1))

    async def scenario():
        async with contextlib.aclosing(PodLoadClient("k-1")) as load:
            return await load.read([pod("a", ip=fake.address), pod("b")])

    with fake.running():
        found = asyncio.run(scenario())
    assert {name: one.backlog_s for name, one in found.items()} == {"a": 2.0}
    assert fake.keys == {"Bearer k-1"}


def test_a_router_that_says_nonsense_or_nothing_counts_as_silent():
    silent, odd = FakeRouter("127.90.0.3"), FakeRouter("127.90.0.4", body=[1, 2])

    async def scenario():
        async with contextlib.aclosing(RouterLoadClient()) as load:
            store = Store(changed=lambda key: None)
            for number, fake in enumerate((silent, odd, FakeRouter("127.90.0.5"))):
                store.put(router_pod(f"r{number}", fake.address), "Router")
            return await load.read(store.observed(KEY, "u-1").routers)

    with silent.running(), odd.running():
        assert asyncio.run(scenario()) == {}
    assert min(silent.num_asked, odd.num_asked) >= 1


def test_a_plan_tells_the_first_steps_of_a_new_fleet_through_the_operator_s_own_eyes():
    found = forecast.next_actions(
        Cluster.of({"replicas": 2}).deployment, {}, forecast.ClusterObjects({}), NOW_S
    )
    assert "create Deployment music-router" in found
    assert sum(one.startswith("create Pod music-") for one in found) == 2
    assert len(found) == len(set(found))


def test_the_router_is_told_what_it_takes_on_and_where_the_servers_are():
    given = parsed(router={"admission": {"maxQueuedAudioSeconds": 90, "maxHoldSeconds": 45}})
    made = router.router_manifests(given, RELEASE)
    (args,) = (
        one["spec"]["template"]["spec"]["containers"][0]["args"]
        for one in made
        if one["kind"] == "Deployment"
    )
    assert "--endpointslice=default/music-servers:http" in args
    assert {"--max-queued-audio-s=90", "--cold-start-hold-s=45"} <= set(args)
