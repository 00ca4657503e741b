"""The InferencePool."""

from control_plane.deployments import deployment
from control_plane.network_deployments import NETWORKED

from flamingo_operator.api import spec
from flamingo_operator.manifests import inference_pool


def pools(given):
    return inference_pool.inference_pools(spec.parse(deployment(given)))


def test_it_selects_server_pods_that_are_not_draining():
    (pool,) = pools(NETWORKED)
    assert pool["spec"]["selector"]["matchLabels"] == {
        "flamingo.dev/deployment": "music",
        "flamingo.dev/component": "server",
        "flamingo.dev/serving": "true",
    }
    assert pool["spec"]["targetPorts"] == [{"number": 8000}]


def test_it_names_the_endpoint_picker():
    (pool,) = pools(NETWORKED)
    picker = pool["spec"]["endpointPickerRef"]
    assert (picker["name"], picker["port"], picker["failureMode"]) == (
        "picker",
        {"number": 9003},
        "FailOpen",
    )


def test_it_is_made_only_on_request():
    assert pools({}) == []
