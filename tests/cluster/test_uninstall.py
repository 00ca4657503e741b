"""Helm takes away what it installed, and what the operator made: only what the docs say is left."""

from cluster import charts, inventory

from flamingo_operator.api.names import CRD, GROUP

OF_A_NAMESPACE = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
"""Kubernetes makes them in each."""


def named(found, namespace):
    """Return what of it is in a namespace, without what every namespace has."""
    return {(kind, name) for kind, where, name in found if where == namespace} - OF_A_NAMESPACE


def test_nothing_of_a_fleet_is_left_but_the_users_secret(uninstalled, music):
    assert named(uninstalled.by_fleet, music.namespace) == {("Secret", "music-tls")}


def test_nothing_of_the_operator_is_left_but_its_lease(uninstalled):
    left = named(uninstalled.by_operator, charts.HOME)
    assert left - {("Secret", "observe")} == {("Lease", charts.NAME)}


def test_the_definition_is_kept_until_it_is_deleted(uninstalled, music):
    left = {
        (kind, name)
        for kind, where, name in uninstalled.by_operator
        if where == inventory.CLUSTER_WIDE
    }
    assert left == {
        ("CustomResourceDefinition", CRD),
        ("APIService", f"v1alpha1.{GROUP}"),
        *(("Namespace", name) for name in (music.namespace, charts.HOME)),
    }


def test_then_the_cluster_is_as_it_was(uninstalled):
    assert uninstalled.by_all == frozenset()
