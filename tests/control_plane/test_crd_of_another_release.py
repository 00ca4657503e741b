"""The operator under the CustomResourceDefinition of the release before and of the one after.

`other_releases` has both.
"""

import secrets
import tempfile
from pathlib import Path

import pytest
from control_plane.conftest import started
from control_plane.operators import site, wait_until
from control_plane.other_releases import earlier_manifest, later_manifest

from flamingo_operator.api.names import CRD, PLURAL


@pytest.fixture(scope="module")
def control_plane():
    """Yield a control plane whose definition the tests replace."""
    with tempfile.TemporaryDirectory(prefix="fd-") as folder, started(Path(folder) / "k") as made:
        yield made


@pytest.fixture
def here(control_plane, tmp_path, request):
    """Yield a namespace in a cluster with the definition that the test names."""
    made = request.param()
    control_plane.output("apply", "--server-side", "--force-conflicts", "-f", "-", body=made)
    served = ("wait", "--for=condition=Established", "--timeout=20s", f"crd/{CRD}")
    wait_until(lambda: control_plane.call(*served).returncode == 0, "it is served")
    with site(control_plane, f"life-{secrets.token_hex(4)}", tmp_path) as place:
        yield place


def live(here, operator):
    """Create, scale, roll out, break, drain and delete a fleet."""
    here.create({"replicas": 2})
    here.wait_complete(2)
    here.change({"replicas": 3})
    here.wait_complete(3)
    here.delete("pods", here.pods()[0]["metadata"]["name"])
    wait_until(lambda: len(here.pods()) == 3, "it is replaced")
    here.wait_complete(3)
    here.change({"server": {"image": "example.com/pod:2"}, "replicas": 1})
    wait_until(lambda: here.images() == {"example.com/pod:2"}, "the rollout is done")
    here.wait_complete(1)
    at_rest(operator)


def at_rest(operator):
    """Check that the operator comes to rest: it is reconciled, and nothing is written."""
    counted = "flamingo_operator_reconcile_seconds_count"

    def writes_nothing():
        num, writes = (
            operator.metric(counted),
            operator.metric("flamingo_operator_api_writes_total"),
        )
        wait_until(lambda: operator.metric(counted) >= num + 3, "it is reconciled again")
        return operator.metric("flamingo_operator_api_writes_total") == writes

    wait_until(writes_nothing, "it writes nothing", within_s=30)


@pytest.mark.parametrize("here", [earlier_manifest, later_manifest], indirect=True)
def test_a_fleet_lives_under_the_definition_of_each_release(here):
    operator = here.start("--no-leader-election", "--resync-interval-s=1")
    live(here, operator)
    operator.stop()
    successor = here.start("--no-leader-election", "--resync-interval-s=1")
    at_rest(successor)
    assert "crd.skew" in successor.log.read_text()
    assert successor.metric('flamingo_operator_crd_skew_fields{difference="changed"}') >= 0
    here.change({"replicas": 2})
    here.wait_complete(2)
    here.delete(PLURAL, "music")
    wait_until(lambda: here.pods() == [], "everything is deleted")


@pytest.mark.parametrize("here", [later_manifest], indirect=True)
def test_values_of_a_later_release_are_conditions_and_the_fleet_is_kept(here):
    operator = here.start("--no-leader-election")
    here.create({"replicas": 2, "router": {"service": {"port": 81}}})
    here.wait_complete(2)
    here.change({"rollout": {"strategy": "Later"}, "router": {"service": {"type": "Later"}}})
    wait_until(lambda: here.reason("Accepted") == "UnreadableFields", "it says so")
    (condition,) = (one for one in here.status()["conditions"] if one["type"] == "Accepted")
    assert "spec.rollout.strategy" in condition["message"]
    assert "spec.router.service.type" in condition["message"]
    operator.stop()
    here.start("--no-leader-election")
    here.delete("pods", here.pods()[0]["metadata"]["name"], is_forced=True)
    here.change({"replicas": 3})
    wait_until(lambda: here.status().get("readyReplicas") == 3, "they are replaced and added")
    assert len(here.pods()) == 3
    assert here.get("services", "music")["spec"]["ports"][0]["port"] == 81
    here.change({"rollout": {"strategy": "Auto"}, "router": {"service": {"type": "ClusterIP"}}})
    here.wait_complete(3)
    assert here.reason("Accepted") == "Accepted"
