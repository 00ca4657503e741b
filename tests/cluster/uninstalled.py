"""What Helm and the deletion of the CRD and of the namespaces leave behind, step by step."""

from dataclasses import dataclass

from cluster import charts, inventory
from cluster.fleets import NAME, Fleet
from cluster.inventory import Inventory
from control_plane.operators import wait_until

from flamingo_operator.api.names import CRD


@dataclass(frozen=True)
class Left:
    """What was not there before we installed something."""

    by_fleet: Inventory
    """After the fleet's release is uninstalled."""
    by_operator: Inventory
    """After the operator's is, too."""
    by_all: Inventory
    """After the CRD and the namespaces are deleted."""


def uninstall(fleet: Fleet, empty: Inventory) -> Left:
    """Take away the fleet, the operator, the CRD and the namespaces, as the docs say."""
    cluster = fleet.cluster

    def left() -> Inventory:
        return inventory.take(cluster) - empty

    def has_no_pods(namespace: str) -> bool:
        return not cluster.output("-n", namespace, "get", "pods", "--output=name")

    cluster.helm("uninstall", NAME, "--namespace", fleet.namespace, "--wait")
    wait_until(lambda: has_no_pods(fleet.namespace), "the fleet's pods are gone")
    by_fleet = left()
    cluster.helm("uninstall", charts.NAME, "--namespace", charts.HOME, "--wait")
    wait_until(lambda: has_no_pods(charts.HOME), "the operator's pods are gone")
    by_operator = left()
    cluster.output("delete", "crd", CRD)
    cluster.output("delete", "namespace", fleet.namespace, charts.HOME)
    return Left(by_fleet, by_operator, left())
