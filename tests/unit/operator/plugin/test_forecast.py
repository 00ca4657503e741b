"""What `kubectl flamingo plan` expects the operator to do."""

from fakes.clusters import Cluster
from fakes.operator_inputs import NOW_S

from flamingo_operator.plugin import forecast


def test_the_forecast_of_a_new_fleet_has_the_first_actions_of_the_operator():
    found = forecast.next_actions(
        Cluster.of({"replicas": 2}).deployment, {}, forecast.ClusterObjects({}), NOW_S
    )
    assert "create Deployment music-router" in found
    assert sum(one.startswith("create Pod music-") for one in found) == 2
    assert len(found) == len(set(found))
