"""Scaling on a real API server: scripted routers report demand, and pods come and go."""

import contextlib
import json
import re

import pytest
from control_plane.demand import ready_router, router
from control_plane.operators import Operator, Site, neighbours, site, wait_until
from control_plane.plugin_process import output, run_plugin
from fakes.scripted_routers import FakeRouter

SOON = {"mode": "Internal", "minReplicas": 1, "maxReplicas": 6}
SOON |= {"scaleUp": {"maxStep": 2}, "scaleDown": {"stabilizationSeconds": 0}}
OFTEN = ("--router-poll-interval-s=0.3", "--no-leader-election")


@pytest.fixture(scope="module")
def places(whole_cluster, tmp_path_factory):
    """Yield namespaces that one operator looks after."""
    names = ["asleep", "outside", "timed"]
    folder = tmp_path_factory.mktemp("scaling")
    with site(whole_cluster, "scaling-hq", folder) as first, neighbours(first, names) as made:
        first.start(*OFTEN, namespaces=",".join(names))
        yield dict(zip(names, made, strict=True))


def polled_again(fake: FakeRouter, times: int = 6) -> None:
    before = fake.num_requests
    wait_until(lambda: fake.num_requests >= before + times, "the router is polled again")


def scaling(place: Site):
    return place.status().get("scaling", {})


def events(place: Site) -> set[str]:
    return {one["message"] for one in place.get("events")["items"] if one["reason"] == "Scaled"}


@pytest.fixture(scope="module")
def scaled_from_zero(places):
    """Yield a fleet scaled from zero by one queued request; it returns to zero in half a minute."""
    place = places["asleep"]
    limits = {**SOON, "minReplicas": 0, "scaleToZero": {"idleSeconds": 30}}
    with router(place, {"scaling": limits}) as fake:
        place.wait_complete(0)
        assert place.reason("Ready") == "ScaledToZero"
        fake.report_demand(0.0, queued=1)
        place.wait_complete(1)
        assert scaling(place)["reason"] == "ScaleFromZero"
        fake.report_demand(0.0)
        yield place


def test_the_number_follows_the_demand_is_kept_without_it_and_outlives_the_operator(
    whole_cluster, tmp_path, scaled_from_zero
):
    with (
        site(whole_cluster, "demand", tmp_path) as place,
        contextlib.ExitStack() as stack,
    ):
        operator = place.start(*OFTEN)
        fake = stack.enter_context(router(place, {"scaling": SOON}))
        place.wait_complete(1)

        num_before = num_decisions(operator, place)
        fake.report_demand(3.0)  # of 75 per cent each
        place.wait_complete(4)
        steps = [(one["fromReplicas"], one["toReplicas"]) for one in scaling(place)["history"]]
        assert steps == [(1, 3), (3, 4)]
        assert "scaled from 1 to 3 replicas: 5-minute arrival rate requires 4.0 replicas" in events(
            place
        )
        assert operator.metric(f"flamingo_operator_demand_servers{_labels(place)}") == 4.0
        assert num_decisions(operator, place) >= num_before + 2
        starts = 'flamingo_operator_cold_start_seconds_count{phase="total"}'
        wait_until(lambda: operator.metric(starts) == 4, "each start is counted")

        wait_until(operator.is_idle, "it has nothing to do")
        before = place.written()
        for share in (1.04, 0.97, 1.02, 0.95):
            fake.report_demand(3.0 * share)
            polled_again(fake, 3)
        fake.body = None
        polled_again(fake)
        assert place.written() == before

        assert operator.stop() == 0
        operator = place.start(*OFTEN)
        polled_again(fake)
        assert operator.metric("flamingo_operator_api_writes_total") == 0
        assert place.written() == before

        fake.report_demand(0.5)
        place.wait_complete(1)
        assert [one["toReplicas"] for one in scaling(place)["history"]] == [3, 4, 3, 2, 1]


def num_decisions(operator: Operator, place: Site) -> float:
    """Return how often scaling decided something new, whatever bounded it."""
    name, of = "flamingo_operator_scale_decisions_total", f'namespace="{place.namespace}"'
    found = re.findall(rf"^{name}{{.*{of}.*}} (\S+)$", operator.get("/metrics")[1], re.MULTILINE)
    return sum(map(float, found))


def _labels(place: Site) -> str:
    return f'{{name="music",namespace="{place.namespace}"}}'


def test_a_schedule_raises_the_minimum(places):
    place = places["timed"]
    with router(place, {"scaling": SOON}):
        place.wait_complete(1)
        always = {"name": "always", "start": "00:00", "end": "00:00", "minReplicas": 2}
        place.change({"scaling": {"schedules": [always]}})
        place.wait_complete(2)
        assert (scaling(place)["reason"], scaling(place)["bound"]) == ("Limits", "Schedule")


def test_outside_scalers_write_the_number_and_may_not_where_the_operator_decides(places):
    place = places["outside"]
    place.create({"replicas": 1})
    place.wait_complete(1)
    place.kubectl("scale", "fd", "music", "--replicas=3")
    place.wait_complete(3)
    assert scaling(place) == {"desiredReplicas": 3, "history": []}
    place.change({"scaling": SOON})
    refusal = place.cluster.refusal("-n", place.namespace, "scale", "fd", "music", "--replicas=5")
    assert "spec.replicas is not used while scaling.mode is Internal" in refusal


def test_a_plan_shows_what_the_operator_then_does(places, tmp_path):
    place = places["outside"]
    wait_until(lambda: place.reason("Progressing") == "Complete", "it is complete")
    file, body = tmp_path / "fleet.json", place.get("fd", "music")
    given = {"name": "music", "namespace": place.namespace}
    body = {**body, "metadata": given, "status": {}}
    file.write_text(json.dumps(body))
    assert "Actions of the operator" not in output(place.cluster, "plan", str(file))

    body["spec"]["scaling"]["minReplicas"] = 4
    body["spec"]["server"]["image"] = "example.com/pod:2"
    file.write_text(json.dumps(body))
    plan = run_plugin(place.cluster, "plan", str(file))
    assert plan.returncode == 1, plan.stderr
    planned = {
        line.strip()
        for line in plan.stdout.partition("Actions of the operator")[2].splitlines()
        if line
    }
    place.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    place.wait_complete(4)
    done = place.operators[0].log.read_text()
    assert any("create Pod" in action for action in planned)
    for action in planned:
        assert f'"action": "{action}"' in done


def test_a_pod_whose_drain_is_requested_is_replaced(places):
    place = places["timed"]
    name = place.pods()[0]["metadata"]["name"]
    uid = place.pods()[0]["metadata"]["uid"]
    output(place.cluster, "drain", name, "-n", place.namespace)
    wait_until(lambda: uid not in {pod["metadata"]["uid"] for pod in place.pods()}, "it is gone")
    place.wait_complete(2)


def test_the_last_pod_is_removed_when_idle_and_the_router_stays(scaled_from_zero):
    scaled_from_zero.wait_complete(0)
    assert scaled_from_zero.reason("Ready") == "ScaledToZero"
    assert ready_router(scaled_from_zero)
    assert [one["toReplicas"] for one in scaling(scaled_from_zero)["history"]] == [1, 0]
