"""What tests read from an API server is what kubectl would print."""

import pytest
from control_plane.kubectl import Kubectl


@pytest.mark.parametrize("kinds", ["services,fd,rolebindings", "svc", "namespaces"])
def test_lists_are_those_of_kubectl(cluster, kinds):
    printed = Kubectl.get(cluster, "default", kinds)["items"]
    assert cluster.get("default", kinds)["items"] == printed


def test_an_object_is_that_of_kubectl(cluster):
    read = cluster.get("default", "service", "kubernetes")
    assert read == Kubectl.get(cluster, "default", "service", "kubernetes")


@pytest.mark.parametrize(("kind", "why"), [("service", "not found"), ("songs", "songs")])
def test_what_is_not_there_fails(cluster, kind, why):
    with pytest.raises(AssertionError, match=why):
        cluster.get("default", kind, "music")
