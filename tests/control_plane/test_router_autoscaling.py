"""The number of router pods: set in the spec, by hand, or by Kubernetes' own autoscaler."""

import json
from typing import Any

from control_plane.autoscalers import external_metric
from control_plane.operators import Site, wait_until

from flamingo_operator.api.names import FIELD_MANAGER

NUM_PLACES = 2
ROUTER = "music-router"


def deployment(place: Site) -> dict[str, Any]:
    found = place.get("deployments")["items"]
    return found[0] if found else {"spec": {"replicas": 0}, "metadata": {"managedFields": []}}


def num_routers(place: Site) -> int:
    return deployment(place)["spec"]["replicas"]


def owners(place: Site) -> set[str]:
    """Return the managers of the number of router pods."""
    entries = deployment(place)["metadata"]["managedFields"]
    return {
        entry["manager"] for entry in entries if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


def until_released(place: Site) -> None:
    wait_until(lambda: owners(place) - {FIELD_MANAGER} == owners(place) != set(), "it is released")


def change_template(place: Site, cpu: str) -> None:
    """Change something else of the Deployment, so that the operator applies it again."""
    place.change({"router": {"resources": {"requests": {"cpu": cpu}}}})
    wait_until(lambda: f'"cpu": "{cpu}"' in json.dumps(deployment(place)), cpu)


def applied(place: Site) -> list[dict[str, Any]]:
    """Return what the operator applied to the Deployment and to its autoscaler, and when."""
    items = place.get("deployments,hpa")["items"]
    entries = [entry for item in items for entry in item["metadata"]["managedFields"]]
    return [entry for entry in entries if entry["manager"] == FIELD_MANAGER]


def test_a_number_that_the_spec_does_not_set_is_left_to_whoever_sets_it(place):
    place.create({"replicas": 0})
    until_released(place)
    assert num_routers(place) == 2
    place.kubectl("scale", "deployment", ROUTER, "--replicas=4")
    change_template(place, "150m")
    assert num_routers(place) == 4
    place.change({"router": {"replicas": 3}})
    wait_until(lambda: num_routers(place) == 3, "the number in the spec applies")
    place.change({"router": {"replicas": None}})
    until_released(place)
    change_template(place, "160m")
    assert num_routers(place) == 3


def test_an_autoscaler_that_the_spec_asks_for_scales_the_routers(place, metrics_api):
    metrics_api.figures["flamingo_test_routers"] = lambda: 30
    metric = external_metric("flamingo_test_routers", "10")
    place.create(
        {"replicas": 0, "router": {"autoscaling": {"maxReplicas": 4, "metrics": [metric]}}}
    )
    wait_until(lambda: num_routers(place) == 3, "the autoscaler sets the number")
    change_template(place, "150m")
    operator = place.operators[0]
    wait_until(operator.is_idle, "it has nothing to do")
    before = applied(place)
    metrics_api.figures["flamingo_test_routers"] = lambda: 40
    wait_until(lambda: num_routers(place) == 4, "the autoscaler sets another number")
    assert applied(place) == before
    place.change({"router": {"autoscaling": None}})
    wait_until(lambda: not place.get("hpa")["items"], "the autoscaler is deleted")
    assert num_routers(place) == 4
